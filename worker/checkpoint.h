/* checkpoint.h - what a task leaves in $CASHET_CHECKPOINT, taken from one attempt and laid out for
 * the next. It never makes an attempt fail: what cannot be kept or brought back is left out, and
 * the next attempt's standard error begins with the reason. */
#pragma once

#include "common/task/layout.h"
#include "worker/dirs.h"
#include "worker/report.h"

/** checkpoint_is_empty() - also if the task removed the folder. */
bool checkpoint_is_empty(const struct dir *dir);
/** checkpoint_collect() - note the folder and its blobs in @r, for upload. More than @max bytes, links
 * that lead out of it, what is neither file nor folder: all of it is left out, and @r says why.
 * Return: 0, or negative errno if this worker failed. */
int checkpoint_collect(const struct dir *dir, uint64_t max, struct report *r);

struct checkpoint_place {
	const char *dir;       /* where; empty */
	const char *err;       /* file of standard error, which exists */
	const uint8_t *digest; /* of a folder; NULL: only say @left_out */
	const char *left_out;  /* why the last attempt's was not kept; NULL */
	const struct layout_source *source;
};

/** checkpoint_lay_out() - Return: LAYOUT_OK, also without it; LAYOUT_FULL, LAYOUT_CANCELLED. */
enum layout_result checkpoint_lay_out(const struct checkpoint_place *place,
				      struct err *e);
