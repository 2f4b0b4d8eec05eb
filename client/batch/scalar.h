/* scalar.h - what a plain scalar is by the core schema of YAML 1.2: true and false, integers (also
 * 0o17, 0x1f), floats, null; all else is text, also yes, no, on, off. */
#pragma once

#include "common/format/value.h"

enum scalar_kind {
	SCALAR_TEXT,
	SCALAR_VALUE, /* bool, integer or double, in @v */
	SCALAR_NULL,
	SCALAR_NOT_FINITE,   /* .inf, .nan */
	SCALAR_OUT_OF_RANGE, /* an integer beyond 64 bits, a float that would be infinite,
				or 0 without being it */
};

/* For messages about SCALAR_OUT_OF_RANGE: what a person writes is never taken for 0 or infinity. */
#define SCALAR_FLOATS "floats go from 4.9e-324 to 1.8e308"

enum scalar_kind scalar_parse(const char *text, struct value *v);
/** scalar_round15() - the double nearest to @value's 15 significant digits. */
double scalar_round15(double value);
