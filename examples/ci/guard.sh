#!/bin/sh
# Fails if the commits from BASE to HEAD touch what somebody else has reserved.
#
#	guard.sh BASE [HEAD]
#
# Status: 0 free, 3 held, 8 could not check. Reservations travel on refs of their
# own, so they are fetched first; a shallow clone may not know where the two part.
set -eu
if [ "$(git rev-parse --is-shallow-repository)" = true ]; then git fetch --quiet --unshallow; fi
git fetch --quiet --no-tags "${REMOTE-origin}" 'refs/agentmail/log/*:refs/agentmail/log/*'
CI=true exec git agentmail guard --range "$1..${2-HEAD}"
