/* why_source.h - what is in two sources that differ: which definitions, packages, flags, and which files
 * in nothing that counts. */
#pragma once

#include "client/why.h"
#include "common/format/source.h"

struct source_reader { /* where bytes are: in a store, or of the newer one here */
	/** @text: refuse what is no text, or large. Return: 0; 1 not there; others end the whole. */
	int (*read)(void *arg, bool now, bool text, const uint8_t digest[DIGEST_SIZE],
		    struct buf *out, struct err *e);
	void *arg;
};

struct source_pair { /* two units of two sources, decoded */
	const struct source *old, *now;
	size_t old_unit, now_unit;
};

/** source_compare() - what differs between two units is added to *@changesp (heap, grows), with unified
 * diffs; then the files that differ in nothing that counts. Return: as source_changes(). */
int source_compare(struct cashet_change **changesp, size_t *countp, struct texts *texts,
		   const struct source_reader *reader, const struct source_pair *pair,
		   struct err *e);

/** source_changes() - look into what SOURCE of *@changesp (heap, grows) names: definitions and all else
 * that differs are added behind it, code of commands is told where it changed. @diffs: and unified
 * diffs. Texts are @texts'. Return: 0 or what ends the whole. */
int source_changes(struct cashet_change **changesp, size_t *countp, struct texts *texts,
		   const struct source_reader *reader, bool diffs, struct err *e);
