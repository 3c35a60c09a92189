#!/bin/sh
# Checks every mode of lease.pml: the good ones have no error, and of the others each has the
# one that it is there for. N and V in the environment change the bounds of the first.
set -eu
cc=${CC:-cc}
for tool in spin "$cc"; do
	command -v "$tool" >/dev/null || {
		echo "make spin needs $tool. On Debian and Ubuntu: apt-get install spin gcc" >&2
		exit 1
	}
done
model=$(cd "$(dirname "$0")" && pwd)/lease.pml
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
cd "$dir"
failed=0
printf '%-11s %-4s %10s %8s %6s  %s\n' mode '' states seconds MB 'error found'

# check NAME WANTED SPIN-FLAGS CC-FLAGS PAN-FLAGS; WANTED is what pan must say, or nothing.
check() {
	name=$1 wanted=$2
	# shellcheck disable=SC2086
	spin $3 -a "$model" >spin.log 2>&1 && "$cc" -O2 -w -DCOLLAPSE -DMEMLIM=4000 $4 -o pan pan.c >>spin.log 2>&1 ||
		{ cat spin.log; echo "$name: does not compile"; exit 1; }
	# shellcheck disable=SC2086
	./pan -m1000000 -n $5 >pan.log 2>&1 || true
	found=$(sed -n 's/^pan:1: \(.*\) (at depth.*/\1/p' pan.log)
	good=ok
	if [ -z "$wanted" ]; then
		grep -q 'errors: 0' pan.log && [ -z "$found" ] || good=BAD
	else
		printf '%s\n' "$found" | grep -qF -- "$wanted" || good=BAD
	fi
	# A search that was cut short has shown nothing.
	if grep -Eq 'Search not completed|max search depth too small|out of memory' pan.log && [ -z "$wanted" ]; then good=BAD; fi
	printf '%-11s %-4s %10s %8s %6s  %s\n' "$name" $good \
		"$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' pan.log)" \
		"$(sed -n 's/^pan: elapsed time \([0-9.e+-]*\) seconds/\1/p' pan.log)" \
		"$(sed -n 's/^ *\([0-9.]*\)	total actual memory.*/\1/p' pan.log | cut -d. -f1)" \
		"${found:--}"
	[ $good = ok ] || { failed=1; cat pan.log; }
}

check protocol '' "-DN=${N:-3} -DV=${V:-4}" -DSAFETY ''
check LIVE '' '-DLIVE -DV=3' -DNFAIR=3 '-a -f'
check HOOK 'newest==intent' '-DHOOK -DALONE' -DSAFETY ''
check NONONCE 'by[intent' -DNONONCE -DSAFETY ''
check FORGET 'intent[' -DFORGET -DSAFETY ''
check TRUSTNO 'by[lease[tip]]!=' -DTRUSTNO -DSAFETY ''
check NOLEASE 'lease[base[' '-DNOLEASE -DALONE' -DSAFETY ''
check NOCAS 'by[intent' '-DNOCAS -DALONE' -DSAFETY ''
check LATEUNLOCK '||(lease[tip]==0)' '-DLATEUNLOCK -DALONE' -DSAFETY ''
check NOEXPIRY 'acceptance cycle' '-DLIVE -DNOEXPIRY -DV=3' -DNFAIR=3 '-a -f'
exit $failed
