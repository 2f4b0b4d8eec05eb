/* show_why.h - how runs, changes and reasons look to people and in JSON. */
#pragma once

#include "client/cli/cli.h"

/** show_why() - as `cashet why` prints it. @now_ms: wall clock, for "2 days ago". */
void show_why(struct buf *out, const struct cashet_why *why, uint64_t now_ms, bool color);
/** show_changes() - one line for each component. @causes: mark those that are a cause. */
void show_changes(struct buf *out, const struct cashet_change *changes, size_t count,
		  bool causes, bool color);
/** show_code_diff() - the diff of one change, if it has one, under a line that says of what. */
void show_code_diff(struct buf *out, const struct cli *cli,
		    const struct cashet_change *change);
/** show_cause() - one change in a few words: "train.py changed", "lr 0.1 -> 0.2"; escaped. @several: it
 * stands for others, of other values. */
void show_cause(struct buf *out, const struct cashet_change *change, bool several);
/** show_is_identity() - whether it is a part of what the work is, and so may be why it ran. */
bool show_is_identity(const struct cashet_change *change);
/** show_reason() - a reason without changes in a few words: "forced". */
const char *show_reason(enum cashet_reason reason);
struct dry_run_what { /* a batch file, or tasks */
	const char *path;
	const struct cashet_task *tasks;
	size_t count;
};
/** dry_run() - `submit --dry-run`. Return: the exit code. */
int dry_run(struct cli *cli, const struct dry_run_what *what,
	    const struct cashet_submit_options *submit);
void json_change(struct json *j, const struct cashet_change *change);
void json_run(struct json *j, const char *key, const struct cashet_run *run, bool is);
