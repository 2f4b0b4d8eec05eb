/* local.h - the store of a directory that no broker serves, read in our own process. */
#pragma once

#include "client/handle.h"

#define LOCAL_SERVED 1000 /* a broker has come meanwhile: ask it */

/** local_may() - is this handle's store a directory that no broker serves just now? */
bool local_may(const struct cashet *c);
/** local_answers() - is @question one about what is recorded in a store? */
bool local_answers(Cashet__Envelope__BodyCase question);
/** local_open() - Return: 0; ERR_NOT_FOUND if there is no store; LOCAL_SERVED; others. */
int local_open(struct cashet *c, struct err *e);
void local_close(struct cashet *c);
/** local_answer() - @r->reply, as if a broker had sent it. Return: 0; LOCAL_SERVED; ERR_*. */
int local_answer(struct cashet *c, struct request *r, struct err *e);
/** local_blob() - as blob_client_get(). LOCAL_SERVED only if nothing was given to @sink. */
int local_blob(struct cashet *c, const uint8_t digest[DIGEST_SIZE], uint64_t offset,
	       cashet_sink sink, void *arg, struct err *e);
