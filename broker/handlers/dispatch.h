/* dispatch.h - a row of the table in dispatch.c, which says how to add one. */
#pragma once

#include "broker/net/peer.h"

struct dispatch_row {
	Cashet__Envelope__BodyCase what;
	const char *name;
	unsigned kinds; /* enum peer_kind, or-ed */
	unsigned roles; /* 1 << enum key_role, or-ed */
	bool joined;	/* only after WorkerHello */
	void (*handler)(struct broker *b, struct peer *peer, const Cashet__Envelope *e);
};

extern const struct dispatch_row dispatch_rows[];
extern const size_t dispatch_row_count;
