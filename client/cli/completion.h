/* completion.h - scripts for the completion of shells, made from the tables of commands and options
 * and of the daemons' flags. Words and options are in the script; what depends on the store it asks
 * of cashet complete (cmd_complete.c).
 *
 * What a value or word can be is text, as in struct option_row: NULL, "file", "dir", "=THIS THAT",
 * or a kind of cashet complete. */
#pragma once

#include "client/cli/cli.h"
#include "common/usage.h"

void completion_bash(struct buf *out);
void completion_zsh(struct buf *out);
void completion_fish(struct buf *out);

/** completion_word() - what word @n (from 0) of @command can be; @out holds it. NULL: anything. */
const char *completion_word(const struct command *command, unsigned n, char out[64]);
/** completion_words() - how many words @command's .complete describes. */
unsigned completion_words(const struct command *command);
/** completion_summary() - what is said beside the first word of @command: its summary; of several
 * with that word what may follow: "ls, drain". */
void completion_summary(const struct command *command, char *out, size_t size);
/** completion_is_first() - is row @i of the table the first with its first word? */
bool completion_is_first(size_t i);
/** completion_valued() - as "-t --tag" the names of all options that take a value, for scripts that
 * skip over values. */
void completion_valued(struct buf *out);

extern const struct daemon *const completion_daemons[2];
