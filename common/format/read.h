/* read.h - what the decoders of common/format share: owned copies of borrowed CBOR, and the rule
 * that a count has been checked against the bytes left (cbor_read() does) before it is trusted. */
#pragma once

#include "common/pure/cbor.h"

/** read_strdup() - the next text as a heap string. Return: NULL if there is none or no memory. */
char *read_strdup(struct cbor_reader *r);
/** read_text_or_null() - as read_strdup(), or *@textp = NULL for a null. Return: 0 or 1. */
int read_text_or_null(struct cbor_reader *r, char **textp);
/** read_calloc() - zeroed memory for @count elements that the input has room for; never NULL for
 * a count of 0 unless memory is out. */
void *read_calloc(uint64_t count, size_t size);
/** read_header() - an array of @count items whose first two are @tag and @version. */
int read_header(struct cbor_reader *r, uint64_t count, const char *tag, uint64_t version);
/** read_array_of() - the head of an array of exactly @count items. */
int read_array_of(struct cbor_reader *r, uint64_t count);
/** read_name() - a heap string that passes names_valid() with dots. */
char *read_name(struct cbor_reader *r);
/** read_null() - Return: 0 if the next item is a null, which is passed; 1 if not, nothing moves. */
int read_null(struct cbor_reader *r);
