/* accept.h - connections are refused before descriptors run out. Thread: any. */
#pragma once

#include "common/pure/base.h"

#define ACCEPT_KEPT                                                                      \
	64 /* descriptors for databases, objects, pipes; a quarter if there are few */

/** accept_limit() - the process may have @descriptors; most of them may be connections. */
void accept_limit(uint64_t descriptors);
/** accept_refused() - connections that were turned away so far. */
uint64_t accept_refused(void);
