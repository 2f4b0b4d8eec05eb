/* target.c - see target.h. */
#include "client/target.h"

#include "common/names.h"
#include "common/pure/hex.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int not_a_target(const char *text, struct err *e)
{
	err_set(e, ERR_USAGE,
		"\"%s\" names no commit: 4 to 64 digits of its hash, BATCH:INDEX of a "
		"task, or the name of a pin",
		text);
	err_next(e, "cashet log lists commits, cashet pins the pins");
	return ERR_USAGE;
}

static int parse_task(const char *text, const char *colon, struct target *t,
		      struct err *e)
{
	char batch[2 * DIGEST_SIZE + 1], *end;
	size_t size = (size_t)(colon - text);
	errno = 0;
	unsigned long long index = strtoull(colon + 1, &end, 10);
	if (size >= sizeof batch || !isdigit((unsigned char)colon[1]) || *end || errno ||
	    index >= UINT32_MAX)
		return not_a_target(text, e);
	memcpy(batch, text, size);
	batch[size] = '\0';
	int r = batch_ref_parse(batch, &t->batch, t->bytes, e);
	t->message.is_task = true;
	t->message.batch = &t->batch;
	t->message.index = (uint32_t)index;
	return r;
}

int target_parse(const char *text, struct target *t, struct err *e)
{
	const char *colon = strchr(text, ':');
	size_t digits = strspn(text, "0123456789abcdefABCDEF");
	*t = (struct target){.message = CASHET__TARGET__INIT,
			     .batch = CASHET__BATCH_REF__INIT};
	if (colon)
		return parse_task(text, colon, t, e);
	if (digits >= 4 && !text[digits]) {
		Cashet__BatchRef ref = CASHET__BATCH_REF__INIT;
		int r = batch_ref_parse(text, &ref, t->bytes, e);
		if (r)
			return not_a_target(text, e);
		t->message.prefix = ref.prefix;
		t->message.odd = ref.odd;
		return 0;
	}
	if (!names_valid(text, true))
		return not_a_target(text, e);
	strcpy(t->name, text); /* names_valid(): at most 128 bytes */
	t->message.name = t->name;
	return 0;
}
