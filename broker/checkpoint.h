/* checkpoint.h - what attempts left in their checkpoint folders, for the next attempt of the same
 * work.
 *
 * One per fingerprint (and nonce), kept from the report that brought it until the work has ended
 * or nobody wants it any more. It is recorded in the turn that accepts the report, under the task
 * of that lease, so it survives a restart as long as that task's batch is not over. The core knows
 * nothing of it: no decision depends on it. */
#pragma once

#include "broker/broker.h"

void checkpoints_init(struct broker *b);
void checkpoints_fini(struct broker *b);
/** checkpoint_check() - Return: NULL, or what is wrong with the one in @o (may have none). */
const char *checkpoint_check(const Cashet__Outcome *o);
/** checkpoint_take() - the report @o was accepted. */
void checkpoint_take(struct broker *b, const Cashet__Outcome *o);
/** checkpoint_find() - a packed cashet.Checkpoint, until the next step; NULL if there is none. */
const void *checkpoint_find(struct broker *b, const struct core_lease *lease,
			    size_t *sizep);
/** checkpoint_drop() - the work that @lease is about has ended. */
void checkpoint_drop(struct broker *b, const struct core_lease *lease);
/** checkpoints_look() - some may not be wanted any more; checkpoints_sweep() forgets those. */
void checkpoints_look(struct broker *b);
void checkpoints_sweep(struct broker *b);
/** checkpoints_replay() - those of an open batch, in recovery. */
void checkpoints_replay(struct broker *b, uint64_t batch);
