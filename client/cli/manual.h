/* manual.h - manual pages in man(7), made from the tables of commands, options and flags. */
#pragma once

#include "client/cli/cli.h"
#include "common/usage.h"

void manual_program(struct buf *out); /* cashet(1) */
/** manual_command() - cashet-NAME(1), spaces as dashes. */
void manual_command(struct buf *out, const struct command *command);
void manual_daemon(struct buf *out, const struct daemon *daemon);
/** manual_page_name() - "cashet-worker-ls" of the command @name; NULL: "cashet". @out holds it. */
const char *manual_page_name(const char *name, char out[64]);
