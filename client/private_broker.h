/* private_broker.h - the broker of a store directory: finding its socket, and starting one.
 *
 * A private broker is an ordinary cashet-broker on an ipc socket in DIR/run/, started by whoever
 * needs it first. Several may start one at the same moment: the store's lock decides, the losers
 * exit quietly, and every client waits for whichever answers. */
#pragma once

#include "common/err.h"

struct private_broker {
	const char *dir;  /* absolute */
	bool must_exist;  /* the store: ERR_NOT_FOUND rather than a new one */
	bool may_start;	  /* else only look */
	uint64_t wait_ns; /* for an answer after starting */
	bool *endedp; /* set if those that were started ended at once; NULL: not asked for */
	bool (*interrupted)(void *arg);
	void *interrupted_arg;
};

/** private_broker_find() - a control socket of the store's broker that accepts connections.
 * @urlp: "ipc://...", heap.
 * Return: 0; ERR_UNREACHABLE when there is none (and may_start is false, or starting failed:
 * @e says what was tried, with the end of the broker's log); ERR_NOT_FOUND; ERR_DETACHED. */
int private_broker_find(const struct private_broker *p, char **urlp, struct err *e);
/** private_broker_serves() - does any broker, private or not, hold the store @dir? */
bool private_broker_serves(const char *dir);
