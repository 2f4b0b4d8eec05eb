/* import.h - commits of another store, see import.c. */
#pragma once

#include "broker/broker.h"

void handle_import_chunk(struct broker *b, struct peer *peer, const Cashet__Envelope *e);
/** import_made() - @c was made here and is current from now on: one of the same fingerprint that is
 * being imported must not take its place. */
void import_made(struct broker *b, const struct commit *c);
void import_fini(struct broker *b); /* what was not sealed is forgotten */
