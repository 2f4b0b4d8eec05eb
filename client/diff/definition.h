/* definition.h - where in its text a definition changed, which is known to have changed by its digest. A look
 * at the lines: it helps to read, and decides nothing. */
#pragma once

#include "client/diff/text.h"
#include "common/format/source.h"

/** source_lines() - append "  line 31" or "  lines 4-6, 9": the lines of @now, within its file, that differ from
 * those of @old; comments alone and blank lines are passed over. Of a script, the function that they are
 * in comes before. @d: of the two files. Return: false, and nothing, if none is found. */
bool source_lines(struct buf *out, const struct text_diff *d,
		  const struct source_definition *old,
		  const struct source_definition *now);
