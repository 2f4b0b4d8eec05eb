/* source.h - what code was shipped with a function: the files, and what a describer found in them.
 *
 * It is no identity: that is what a unit's identity says, which many sources have (another comment
 * is another source). The blob is named in Function.source and in the commit, so that what ran can
 * be shown, compared and run again.
 *
 * source blob, deterministic CBOR:
 *   ["cashet.source", 1, FILES, UNITS]
 *   FILES  array of [path, executable, size, digest], sorted by path
 *   UNITS  array of [LANGUAGE, PATH, NAME or null, HASH, IDENTITY, PACKAGES, FLAGS, DEFINITIONS]
 *     PATH, NAME    which file and function; no name: the whole file, which a command runs
 *     HASH          of the canonical form; IDENTITY of it and of the packages that count
 *     PACKAGES      array of [name, version or null, counts]
 *     FLAGS         array of texts, for a compiler
 *     DEFINITIONS   array of [label, kind, path, line, digest]: what counts, in the describer's
 *                   order
 * A call has one unit. A command has one for each `code:` file that is hashed as syntax. */
#pragma once

#include "common/pure/cbor.h"

#define SOURCE_SIZE_MAX (16u << 20)

struct source_file {
	char *path;
	bool executable;
	uint64_t size;
	uint8_t digest[DIGEST_SIZE];
};

struct source_package {
	char *name, *version; /* version: or NULL */
	bool counts;
};

struct source_definition {
	char *label, *kind, *path;
	uint32_t line;
	uint8_t digest[DIGEST_SIZE];
};

struct source_unit {
	char *language, *path, *name; /* name: or NULL */
	uint8_t hash[DIGEST_SIZE], identity[DIGEST_SIZE];
	struct source_package *packages;
	char **flags;
	struct source_definition *definitions;
	size_t package_count, flag_count, definition_count;
};

struct source {
	struct source_file *files;
	struct source_unit *units;
	size_t file_count, unit_count;
};

void source_unit_fini(struct source_unit *u);
void source_fini(struct source *s);
/** source_encode() - sorts the files. */
void source_encode(struct buf *out, struct source *s);
/** source_decode() - everything checked: paths inside, order, that each unit's file is there.
 * Return: 0, 1 if malformed or out of memory. */
int source_decode(const void *data, size_t size, struct source *s);
