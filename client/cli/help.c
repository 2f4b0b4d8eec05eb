/* help.c - what help and --help print, from the tables of commands and options. */
#include "client/cli/cli.h"

#include "common/usage.h"

#include <stdio.h>
#include <string.h>

void help_option_left(const struct option_row *row, char *out, size_t size)
{
	snprintf(out, size, "%c%c%s --%s%s%s", row->letter ? '-' : ' ',
		 row->letter ? row->letter : ' ', row->letter ? "," : " ", row->name,
		 row->value ? " " : "", row->value ? row->value : "");
}

static void add_options(struct buf *out, unsigned sets)
{
	for (size_t i = 0; i < option_count; i++) {
		char left[64];
		if (!(option_table[i].set & sets))
			continue;
		help_option_left(&option_table[i], left, sizeof left);
		usage_row(out, left, option_table[i].help);
	}
}

/* @only: the program is nothing else: cashet-submit. */
static void help_command(struct buf *out, const char *program,
			 const struct command *command, bool only)
{
	buf_printf(out, "usage: %s%s%s [OPTIONS]%s%s\n\n", program, only ? "" : " ",
		   only ? "" : command->name, *command->words ? " " : "", command->words);
	usage_text(out, command->summary);
	if (command->help) {
		buf_add_byte(out, '\n');
		usage_text(out, command->help);
	}
	if (command->options) {
		buf_add_str(out, "\noptions\n");
		add_options(out, command->options);
	}
	buf_add_str(out, "\noptions of every command\n");
	add_options(out, OPTIONS_GLOBAL);
	if (!command->examples)
		return;
	buf_add_str(out, "\nexamples\n");
	for (const char *line = command->examples; *line;) {
		size_t size = strcspn(line, "\n");
		buf_printf(out, "  %.*s\n", (int)size, line);
		line += size + (line[size] == '\n');
	}
}

static void add_commands(struct buf *out, const char *group)
{
	size_t size = group ? strlen(group) : 0;
	for (size_t i = 0; i < command_count; i++) {
		const struct command *c = &command_table[i];
		char left[64];
		if (c->hidden || (group && (strncmp(c->name, group, size) != 0 ||
					    c->name[size] != ' ')))
			continue;
		snprintf(left, sizeof left, "%s%s%s", c->name, *c->words ? " " : "",
			 c->words);
		usage_row(out, left, c->summary);
	}
}

int help_group(struct cli *cli, const char *group)
{
	CLEANUP_BUF struct buf out = {0};
	buf_printf(&out, "usage: %s %s COMMAND [OPTIONS] ...\n\ncommands\n", cli->program,
		   group);
	add_commands(&out, group);
	buf_printf(&out, "\n%s help COMMAND explains one.\n", cli->program);
	return cli_write(cli, &out);
}

static void help_all(struct buf *out, const char *program)
{
	buf_printf(out, "usage: %s COMMAND [OPTIONS] ...\n\ncommands\n", program);
	add_commands(out, NULL);
	buf_add_str(out, "\noptions of every command\n");
	add_options(out, OPTIONS_GLOBAL);
	buf_add_str(out, "\nexit codes\n");
	for (size_t i = 0; i < exit_code_count; i++) {
		char left[16];
		snprintf(left, sizeof left, "%3d", exit_codes[i].code);
		usage_row(out, left, exit_codes[i].meaning);
	}
	buf_printf(out, "\n%s help COMMAND explains one.\n", program);
}

const struct exit_code exit_codes[] = {
	{0, "ok"},
	{CASHET_FAILED, "tasks failed, were skipped or cancelled; or a failure without a "
			"row of its own"},
	{CASHET_USAGE, "usage, or a bad batch file (nothing of it was submitted)"},
	{CASHET_UNREACHABLE, "no broker answers"},
	{CASHET_NOT_ALLOWED, "not allowed: a key that is not trusted, or not for this"},
	{CASHET_NOT_FOUND, "not found"},
	{CASHET_AMBIGUOUS, "a prefix that several match; they are listed"},
	{CASHET_TIMED_OUT, "--timeout is over"},
	{CASHET_DETACHED, "interrupted; a batch goes on"},
};
const size_t exit_code_count = ARRAY_LEN(exit_codes);

void help_text(struct buf *out, const char *program, const struct command *command,
	       bool only)
{
	if (command)
		help_command(out, program, command, only);
	else
		help_all(out, program);
}

int help_write(struct cli *cli, const struct command *command, bool only)
{
	CLEANUP_BUF struct buf out = {0};
	help_text(&out, cli->program, command, only);
	return cli_write(cli, &out);
}
