/* accept.h - connections are refused before descriptors run out. Thread: any. */
#pragma once

#include "common/pure/base.h"

/* descriptors for databases, objects, pipes; a quarter if there are few */
#define ACCEPT_KEPT 64

/** accept_limit() - the process may have @descriptors, of which @used are open; most of the
 * others may be connections. Return: how many, those of blob sockets not counted. */
uint64_t accept_limit(uint64_t descriptors, uint64_t used);
/** accept_prefer() - the listener bound at @url may use the last quarter too: a blob socket. */
void accept_prefer(const char *url);
/** accept_refused() - connections that were turned away so far. */
uint64_t accept_refused(void);
