/* find.h - which commits a Target or a filter means. Thread: the reader's. */
#pragma once

#include "broker/care/care_impl.h"

/** find_target() - the commit that @t names. Return: 0; ERR_NOT_FOUND, ERR_AMBIGUOUS, ERR_USAGE, ... */
int find_target(struct ledger_reader *r, const Cashet__Target *t, uint64_t *seqp,
		struct err *e);
/** find_tagged() - numbers of all commits that a task with all of @request's tags made or hit.
 * Return: 0; 1 stopped; negative errno. */
int find_tagged(struct care *care, const Cashet__RemoveRequest *request,
		struct set64 *seqs);
/** find_downstream() - @root and all commits that read what it made, or what those made. Return as
 * find_tagged(). */
int find_downstream(struct care *care, uint64_t root, struct set64 *seqs);
