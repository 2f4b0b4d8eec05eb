/* utf8.h - well-formed UTF-8 (RFC 3629): no surrogates, nothing longer than needed, up to U+10FFFF. */
#pragma once

#include "common/pure/base.h"

/** utf8_sequence() - bytes of the character at @text. Return: 1 to 4; 0 if it is malformed. */
size_t utf8_sequence(const uint8_t *text, size_t size);
bool utf8_valid(const void *text, size_t size);
