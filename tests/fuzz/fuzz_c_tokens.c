/* fuzz_c_tokens.c - sources of strangers: tokens follow each other without a gap that is not white space
 * or a comment, and what is written from them alone has the same digest. */
#include "common/format/c_tokens.h"
#include "tests/fuzz/fuzz.h"

/* write_again() - the tokens, each on its own with a blank in front, preprocessor lines as lines. */
static void write_again(struct buf *out, const uint8_t *data, size_t size)
{
	struct c_lexer l;
	struct c_token t;
	size_t end = 0;
	c_lexer_init(&l, data, size);
	while (!c_lexer_next(&l, &t) && t.kind != C_TOKEN_END) {
		must(t.start >= end && t.end >= t.start && t.end <= size);
		must(t.size <= t.end - t.start);
		end = t.end;
		if (t.kind == C_TOKEN_HASH)
			buf_add_byte(out, '\n');
		else if (t.kind != C_TOKEN_CALL && t.kind != C_TOKEN_LINE_END)
			buf_add_byte(out, ' ');
		buf_add(out, t.text, t.size);
		/* a quote without an end goes on to the end of its line */
		if (t.kind == C_TOKEN_LINE_END ||
		    (t.kind == C_TOKEN_OTHER && (t.size > 1 || strchr("'\"", *t.text))))
			buf_add_byte(out, '\n');
	}
	must(!l.failed && !out->failed);
	c_lexer_fini(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_BUF struct buf again = {0};
	uint8_t first[DIGEST_SIZE], second[DIGEST_SIZE];
	struct c_tokens_error error = {0};
	if (c_tokens_digest(data, size, first, &error)) {
		must(error.what[0] && error.column > 0);
		return 0;
	}
	write_again(&again, data, size);
	if (again.size > C_TOKENS_SIZE_MAX)
		return 0;
	must(!c_tokens_digest(again.data, again.size, second, NULL));
	must(!memcmp(first, second, DIGEST_SIZE));
	return 0;
}
