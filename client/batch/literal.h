/* literal.h - values that YAML and JSON have no way to write: bytes, and floats bit by bit. */
#pragma once

#include "common/pure/base.h"

/** literal_base64() - standard alphabet, with or without "=" at the end; white space is passed over.
 * @out: of 3 * strlen(text) / 4 + 1 bytes. Return: 0, 1 if it is no base64. */
int literal_base64(const char *text, uint8_t *out, size_t *sizep);
/** literal_float() - nan, inf, -inf, decimal, or hexadecimal as C and Python write it (0x1.8p3). A
 * hexadecimal one must be a double exactly. Return: 0, 1 if it is none. */
int literal_float(const char *text, double *valuep);
