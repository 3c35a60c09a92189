/* Strong reservations: one lease in one table, on a ref that moves by compare-and-swap.
 *
 * Compiled once for each mode, see run.sh:
 *   (none)      the protocol. Must hold.
 *   LIVE        the protocol with a clock and a death, for the ltl formula. Must hold.
 *   HOOK        a pre-push hook checks the lease, then git pushes. Must fail.
 *   NONONCE     equal attempts of two clients are the same commit. Must fail.
 *   FORGET      a client that does not find its nonce takes that for a no. Must fail.
 *   TRUSTNO     a client that hears no does not look for its nonce. Must fail.
 *   NOLEASE     the fenced push names no expected old value. Must fail.
 *   NOCAS       acquiring names no expected old value. Must fail.
 *   LATEUNLOCK  releasing names no expected old value. Must fail.
 *   NOEXPIRY    LIVE, and a lease lasts for ever. Must fail.
 * ALONE leaves out the other leases of the table.
 */
#ifndef N
#define N 3 /* clients */
#endif
#ifndef V
#define V 4 /* versions of the table */
#endif

/* What a push does to the table. FENCE renews, and moves branches in the same transaction; to
 * renew alone is to move none, and is refused or applied all the same. FORCE releases what is
 * somebody else's. */
mtype = { GRANT, FENCE, RELEASE, FORCE, SENT, OK, NO };

/* The hub. Version 0 is the empty table; commits are named by their place in the history,
 * which is one line because each names its parent as the expected old value. */
byte tip;
byte lease[V+1]; /* the lease in this version: the version that granted it; 0: none */
byte token[V+1];
byte by[V+1];    /* to whom this version granted, a pid + 1: with its own number, the nonce */
byte newest;     /* the newest version that granted something */
#define OWNER (by[lease[tip]]) /* whose lease is in the table, 0: nobody's */

/* The last push of each client. It outlives its sender: what was sent may be applied at any
 * later time, or never. One place is enough, see push. */
mtype state[N];  /* 0, SENT, or the answer that is on its way */
mtype what[N];
byte base[N];    /* the version it was made from, and the expected old value */

/* On disk of each client: the version that would be its grant, noted before the push and
 * kept until it is certain that no lease of it is in the table. All else is lost in a crash. */
byte intent[N];

#ifdef LIVE
byte dead;       /* pid + 1 of who will never move again */
byte expired;    /* the lease whose time is up by everybody's clock */
#ifdef NOEXPIRY
#define EXPIRED (OWNER == 0)
#else
#define EXPIRED (OWNER == 0 || expired == lease[tip])
#endif
#else
#define EXPIRED true /* at any moment, by any clock */
#endif

/* Whether the push of c carries the very commit that is the tip already. git says OK to that
 * whatever old value was expected: there is nothing to do. */
#ifdef NONONCE
#define SAME(v, c) (lease[v] == v)
#else
#define SAME(v, c) (lease[v] == v && by[v] == c + 1)
#endif

#if defined(NOLEASE)
#define UNFENCED(c) (what[c] == FENCE)
#elif defined(NOCAS)
#define UNFENCED(c) (what[c] == GRANT)
#elif defined(LATEUNLOCK)
#define UNFENCED(c) (what[c] == RELEASE)
#else
#define UNFENCED(c) false
#endif

/* The hub makes up its mind about the push of c. What is written was computed by c from the
 * version it had read, and from nothing newer. */
inline serve(c) {
	if
	:: tip < V && (base[c] == tip || UNFENCED(c)) ->
		if
		:: what[c] == GRANT ->
			assert(intent[c] == base[c] + 1); /* lost grant: nobody would look for it */
			lease[tip+1] = tip + 1;
			token[tip+1] = token[base[c]] + 1;
			assert(token[tip+1] > token[newest]); /* a grant has a token of its own */
			by[tip+1] = c + 1;
			newest = tip + 1
		:: what[c] == FENCE ->
			assert(newest == lease[base[c]]);     /* pushed after a later grant */
			assert(lease[tip] == lease[base[c]]); /* pushed after a release */
			lease[tip+1] = lease[base[c]];
			token[tip+1] = token[base[c]]
		:: what[c] == RELEASE || what[c] == FORCE ->
			assert(lease[tip] == lease[base[c]] || lease[tip] == 0); /* another's lease removed */
			token[tip+1] = token[base[c]]
		fi;
		assert(token[tip+1] >= token[tip]); /* tokens never go down */
		tip++;
		state[c] = OK
	:: else ->
		if
		:: tip == base[c] + 1 && what[c] == GRANT && SAME(tip, c) -> state[c] = OK
		:: else -> state[c] = NO
		fi
	fi
}

/* A client reads the table and sends what it makes of it. That is one step, for a slow reader
 * and a slow network look the same to the hub. Its push before this one may still be under
 * way: if it is applied, then after the reading, or the client would have seen it, and one of
 * the two at most, both being made from one version. So: now, or never. */
inline push(op) {
	seen = tip;
	if
	:: state[_pid] == SENT ->
		if
		:: serve(_pid)
		:: true
		fi
	:: else
	fi;
	what[_pid] = op;
	base[_pid] = seen;
	state[_pid] = SENT;
	if
	:: op == GRANT -> intent[_pid] = seen + 1
	:: else
	fi;
	seen = 0
}

/* Nothing is held and nothing can come any more. */
inline drop() {
	intent[_pid] = 0;
	assert(OWNER != _pid + 1) /* lost grant: in the table, and forgotten */
}

active [N] proctype client() {
	byte seen;
	goto look;

	/* Without a lease. */
idle:
end_idle:
	atomic {
		tip < V;
		if
		:: EXPIRED -> push(GRANT)
#ifndef LIVE
		:: OWNER != 0 -> push(FORCE)
#endif
		fi;
		goto wait
	}

	/* A push is under way. */
wait:
	if
	:: atomic { state[_pid] == OK ->
		state[_pid] = 0;
		base[_pid] = 0;
		if
		:: what[_pid] == GRANT ->
			assert(by[intent[_pid]] == _pid + 1); /* two hold one version */
			what[_pid] = 0;
			goto hold
		:: what[_pid] == FENCE ->
			what[_pid] = 0;
			goto hold
		:: what[_pid] == RELEASE ->
			what[_pid] = 0;
			drop();
			goto idle
		:: what[_pid] == FORCE ->
			what[_pid] = 0;
			goto idle
		fi }
#ifdef TRUSTNO
	:: atomic { state[_pid] == NO ->
		state[_pid] = 0;
		what[_pid] = 0;
		base[_pid] = 0;
		drop();
		goto idle }
#endif
	:: atomic { true -> goto look } /* refused, cut off, or crashed */
	fi;

	/* Started, or any end but OK: what is on disk and in the table decides. Also after NO, for
	 * it may answer the repetition of a push that was applied and lost again since. */
look:
	atomic {
		if
		:: state[_pid] != SENT -> state[_pid] = 0; what[_pid] = 0; base[_pid] = 0
		:: else
		fi;
		if
		:: intent[_pid] == 0 -> drop(); goto idle
		:: intent[_pid] > tip -> /* neither applied nor impossible yet */
#ifdef FORGET
			drop();
			goto idle
#else
			what[_pid] = GRANT; /* the same commit again, with the same nonce */
			base[_pid] = tip;
			state[_pid] = SENT;
			goto wait
#endif
		:: intent[_pid] != 0 && intent[_pid] <= tip ->
			if
			:: SAME(intent[_pid], _pid) && lease[tip] == intent[_pid] ->
				assert(by[intent[_pid]] == _pid + 1); /* two hold one version */
				goto hold
			:: else -> drop(); goto idle /* never granted, or gone since */
			fi
		fi
	}

	/* With a lease, as far as it knows. */
hold:
end_hold:
	if
	:: atomic { tip < V && lease[tip] == intent[_pid] ->
		if
		:: push(FENCE)
		:: push(RELEASE)
		fi;
		goto wait }
#ifdef HOOK
	:: atomic { lease[tip] == intent[_pid] -> goto checked }
#endif
	:: atomic { lease[tip] != intent[_pid] -> drop(); goto idle }
	:: atomic { true -> goto look } /* crashed */
#ifdef LIVE
	:: atomic { dead == 0 -> dead = _pid + 1; goto gone } /* at most one */
#endif
	fi;

#ifdef HOOK
	/* The hook has said yes, and git pushes the branch by itself. */
checked:
	atomic {
		assert(newest == intent[_pid]); /* pushed after a later grant */
		goto hold
	}
#endif
#ifdef LIVE
gone:
end_gone:
	false
#endif
}

/* One process for each client, so that fairness means that everybody is served. A push may
 * arrive twice: the client repeats it while the first is still under way, or HTTP does by
 * itself. Then the answer is that to the second. */
#define CLIENT (_pid - N)
active [N] proctype hub() {
end_hub:
	do
	:: atomic { state[CLIENT] == SENT ->
		serve(CLIENT);
		if
		:: true
#ifndef LIVE
		:: state[CLIENT] == OK -> state[CLIENT] = SENT
#endif
		fi }
	od
}

/* The table has other leases too: whoever takes one moves the ref and the token, and no more. */
#if !defined(ALONE) && !defined(LIVE)
active proctype others() {
end_others:
	do
	:: atomic { tip < V ->
		lease[tip+1] = lease[tip];
		token[tip+1] = token[tip] + 1;
		tip++ }
	od
}
#endif

#ifdef LIVE
active proctype clock() {
end_clock:
	do
	:: atomic { lease[tip] != 0 && expired != lease[tip] -> expired = lease[tip] }
	od
}

/* A free table finds a holder, and a dead holder a successor. At the last version the model
 * ends, and with it what can be asked; so nobody but these clients may use versions up. */
ltl progress {
	[] (OWNER == 0 -> <> (OWNER != 0 || tip == V)) &&
	[] ((dead != 0 && OWNER == dead) -> <> (OWNER != dead || tip == V))
}
#endif
