/* value.h - a parameter's value: typed by the batch file, kept exactly. */
#pragma once

#include "common/pure/cbor.h"

enum value_type { VALUE_BOOL, VALUE_INT, VALUE_UINT, VALUE_DOUBLE, VALUE_STRING };

struct value {
	enum value_type type; /* VALUE_UINT only above INT64_MAX */
	union {
		bool boolean;
		int64_t i;
		uint64_t u;
		double d;
		char *text; /* owned by whoever owns the value; NUL-terminated UTF-8 */
	};
};

void value_fini(struct value *v);
/** value_format() - as substituted into a command line: true, 3, 0.001, 1e-05, text as it is. */
void value_format(struct buf *out, const struct value *v);
void value_encode(struct buf *out,
		  const struct value *v); /* deterministic CBOR; 3.0 is a float */
/** value_decode() - Return: 0 (value_fini() it), 1 if malformed or out of memory. */
int value_decode(struct cbor_reader *r, struct value *v);
bool value_equal(const struct value *a, const struct value *b);
