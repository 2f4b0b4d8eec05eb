/* import.h - commits of another store, see import.c. */
#pragma once

#include "broker/broker.h"

void handle_import_chunk(struct broker *b, struct peer *peer, const Cashet__Envelope *e);
/** import_made() - @c was made here and is current from now on: one of the same fingerprint that is
 * being imported must not take its place. */
void import_made(struct broker *b, const struct commit *c);
/** import_is_open() - commits are staged that gc does not see: it removes no blobs meanwhile. One whose
 * client has been gone for long is forgotten by this. */
bool import_is_open(struct broker *b);
void import_fini(struct broker *b); /* what was not sealed is forgotten */
