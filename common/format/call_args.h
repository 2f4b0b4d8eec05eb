/* call_args.h - the arguments of a call: a function by source gets values, not a command line.
 *
 * args_hash is the SHA-256 of the arguments, scheme 2, deterministic CBOR:
 *   [2, [VALUE, ...], {NAME: VALUE, ...}]       by position, by name
 *   VALUE  null, a boolean, an integer of 64 bits (signed), a float, a text or bytes, each as
 *          CBOR has them; everything else is an array headed by a number, so that no two
 *          values share their bytes:
 *     [1, VALUE, ...]          list
 *     [2, {TEXT: VALUE}]       map; the order in which it was written does not count
 *     [3, PLACEHOLDER]         reference: what a task made, by type and digest (content.h)
 *     [4, NAME, PLACEHOLDER]   file or folder of the submitter's, which keeps its name
 * Floats keep each bit, but that there is one NaN; -0.0 is not 0.0, and 1.0 is not 1. Texts are
 * UTF-8 and may hold a NUL. */
#pragma once

#include "common/format/content.h"

#define ARG_DEPTH_MAX 30	 /* lists and maps inside each other */
#define ARG_COUNT_MAX (1u << 18) /* values of one call; more belong into a file */

enum arg_type {
	ARG_NULL,
	ARG_BOOL,
	ARG_INT,
	ARG_FLOAT,
	ARG_TEXT,
	ARG_BYTES,
	ARG_LIST,
	ARG_MAP,
	ARG_REF,
	ARG_FILE,
};

struct arg {
	enum arg_type type;
	char *name; /* key of a map, keyword of a call; else NULL. NUL-terminated; a copy */
	size_t name_size;
	union {
		bool boolean;
		int64_t i;
		double d;
		struct {	    /* TEXT, BYTES; FILE: its name */
			char *data; /* a copy, with a NUL behind it */
			size_t size;
			struct content content; /* REF, FILE */
			size_t offset; /* of content in the bytes; set both ways */
		};
		struct { /* LIST, MAP */
			struct arg *items;
			size_t count;
		};
	};
};

struct call_args {
	struct arg *positional, *keywords;
	size_t positional_count, keyword_count;
};

void arg_fini(struct arg *a);
void call_args_fini(struct call_args *a);
/** call_args_encode() - append; sorts keywords and maps. Offsets count from where it begins.
 * Return: 0; 1 if a map or the call has a name twice, there are too many values, or they are
 * nested too deeply; then @out may have a part of it. */
int call_args_encode(struct buf *out, struct call_args *a);
/** call_args_decode() - everything checked. Return: 0, 1 if malformed or out of memory. */
int call_args_decode(const void *data, size_t size, struct call_args *a);
/** call_args_begin() - do these bytes begin as those of a call? That is all that is looked at. */
bool call_args_begin(const void *data, size_t size);
/** arg_equal() - have they the same bytes? Names are not looked at. */
bool arg_equal(const struct arg *a, const struct arg *b);
/** arg_format() - for people, on one line: null, true, 3, 0.5, text as JSON, [..], {..}; a reference
 * as its digest's beginning, if that is known, long bytes by their size. */
void arg_format(struct buf *out, const struct arg *a);
/** call_args_each() - all references and files, in the order of the bytes. @label: where it stands,
 * "0", "lr", "data.train", "xs[3]"; borrowed for the call. Stops at the first that is not 0.
 * Return: what @fn returned last. */
int call_args_each(struct call_args *a,
		   int (*fn)(void *arg, const char *label, struct arg *value), void *arg);
