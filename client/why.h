/* why.h - what why and diff share: asking, and runs and changes in the words of cashet.h. */
#pragma once

#include "client/handle.h"
#include "client/results.h"

struct texts { /* heap texts that go together */
	char **items;
	size_t count, capacity;
};

struct run { /* one side, and what it points to */
	struct row row;
	struct row_function function;
	ProtobufCBinaryData description;
};

struct answer { /* of one WhyQuery; everything borrowed is in here */
	struct request *request;
	const Cashet__WhyReply *reply;
	struct run now, earlier;
	struct cashet_change *changes;
	size_t change_count;
	struct texts texts;
};

/** answer_ask() - @against: NULL for the nearest earlier one. answer_fini() in any case. */
int answer_ask(struct answer *a, struct cashet *c, const char *what, const char *against,
	       struct err *e);
void answer_fini(struct answer *a);
/** answer_run() - one side; what @out points to is in it and in @keep. Return: 0 or ERR_FAILED. */
int answer_run(const Cashet__WhySide *side, struct run *keep, struct cashet_run *out,
	       struct err *e);
/** answer_changes() - a->changes, with a look at code that changed. @diffs: and unified diffs. */
int answer_changes(struct answer *a, struct cashet *c, bool diffs, struct err *e);

/** texts_add() - @text as a heap text of @t; "" if empty. NULL without memory. */
const char *texts_add(struct texts *t, struct buf *text);
void texts_fini(struct texts *t);

/** why_fetch() - a blob that is text of a size that is looked at. Return: 0; 1 it is not, or not there;
 * ERR_DETACHED and others that end the whole. */
int why_fetch(struct cashet *c, const uint8_t digest[DIGEST_SIZE], struct buf *out,
	      struct err *e);
/** why_read() - the same of any bytes, of the size that a source may have. */
int why_read(struct cashet *c, const uint8_t digest[DIGEST_SIZE], struct buf *out,
	     struct err *e);
/** why_change() - @to borrows from @from. */
void why_change(struct cashet_change *to, const Cashet__Change *from);
struct cashet_content why_content(const Cashet__Content *in);
