/* care.h - looking after the store: what walks much runs on a thread of its own, the loop decides.
 *
 * One job at a time, in the order of arrival. The thread reads the ledger and the objects; whatever
 * changes something is a *call*: a function that the loop runs between its turns, in small portions,
 * so that work that runs never waits long. A job whose client has gone, or says CareStop, ends after
 * the portion that it is at; the store is whole after each of them, so kill -9 does no harm either,
 * and the next job finishes what one left.
 *
 *   guard.c     what must not be removed now          graph.c, choose.c  what needs what, who goes
 *   mark.c      the graph of a real store             sweep.c, gc.c      removing it
 *   remove.c    rm, invalidate                        fsck.c, repair.c   is it all as it should be
 *   files.c     how many files there are          pins.c      named commits, on the loop */
#pragma once

#include "broker/broker.h"

int care_start(struct broker *b, struct err *e);
void care_stop(struct broker *b); /* what was begun is left as it is */
/** care_turn() - run the call that waits, if any. */
void care_turn(struct broker *b);

/** care_begin_recount() - count the files of the store when nothing else is to be done. */
void care_begin_recount(struct broker *b);

void handle_care(struct broker *b, struct peer *peer, const Cashet__Envelope *e);
/** handle_fsck() - for all who may read; repairing is for admins. */
void handle_fsck(struct broker *b, struct peer *peer, const Cashet__Envelope *e);
void handle_care_stop(struct broker *b, struct peer *peer, const Cashet__Envelope *e);
void handle_pin(struct broker *b, struct peer *peer, const Cashet__Envelope *e);
