/* submitting.h - what submit and map share: options that all submissions have, and how a batch is
 * followed to its end. */
#pragma once

#include "client/cli/cli.h"

struct submitting { /* the options, and what they point to */
	struct cashet_submit_options options;
	struct cashet_pair *tags;
	char *copies;
};

/** submitting_begin() - as the settings say. Return: 0 or the exit code, printed; fini in any case. */
int submitting_begin(struct submitting *s, struct cli *cli);
void submitting_fini(struct submitting *s);
/** submitting_is_call() - is @word FILE:FUNCTION, and not the name of a file? */
bool submitting_is_call(const char *word);
/** submitting_refuse_call() - what only functions take was said of a batch file. Return: 0 or
 * CASHET_USAGE, printed. */
int submitting_refuse_call(struct cli *cli);
/** submitting_name() - print the batch's name. */
int submitting_name(struct cli *cli, const char *batch);
/** submitting_end() - what became of the tasks: a table, or JSON; @counts: of all of them. Return: 0 or the
 * exit code, printed. */
int submitting_end(struct cli *cli, const char *batch,
		   const struct cashet_counts *counts);
/** submitting_follow() - to its end, with the table. Return: the exit code. */
int submitting_follow(struct cli *cli, const char *batch, bool submitted);

/** submit_call() - `submit FILE:FUNCTION ARG...` (cmd_call.c). */
int submit_call(struct cli *cli, const struct cashet_submit_options *options);
