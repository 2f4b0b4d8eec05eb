/* commands.c - the way from argv to a command; did-you-mean. The table is in command_table.c. */
#include "client/cli/cli.h"

#include "common/fs.h"
#include "common/names.h"
#include "common/pure/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- finding ---- */

/* The second word of @command if @first is its first of two, else NULL. */
static const char *second_word(const struct command *command, const char *first)
{
	size_t size = strlen(first);
	if (strncmp(command->name, first, size) != 0 || command->name[size] != ' ')
		return NULL;
	return command->name + size + 1;
}

bool cli_is_group(const char *word)
{
	for (size_t i = 0; i < command_count; i++)
		if (second_word(&command_table[i], word))
			return true;
	return false;
}

const struct command *cli_find_command(char *const *words, size_t count, size_t *used)
{
	for (size_t i = 0; count && i < command_count; i++) {
		const struct command *c = &command_table[i];
		const char *second = second_word(c, words[0]);
		*used = second ? 2 : 1;
		if (second ? count > 1 && strcmp(words[1], second) == 0
			   : strcmp(words[0], c->name) == 0)
			return c;
	}
	return NULL;
}

static int group_what(const struct cli *cli, const char *group)
{
	CLEANUP_BUF struct buf list = {0};
	for (size_t i = 0; i < command_count; i++)
		if (second_word(&command_table[i], group))
			buf_printf(&list, "%s%s %s", list.size ? ", " : "", cli->program,
				   command_table[i].name);
	return cli_usage(cli, buf_cstr(&list), "%s what?", group);
}

static int unknown_command(const struct cli *cli, char *const *words, size_t count)
{
	char said[128], firsts[COMMANDS_MAX][32];
	const char *names[2 * COMMANDS_MAX];
	size_t name_count = 0;
	bool is_group = cli_is_group(words[0]);
	if (is_group && (count < 2 || words[1][0] == '-'))
		return group_what(cli, words[0]);
	for (size_t i = 0; i < command_count; i++) {
		const char *name = command_table[i].name;
		if (command_table[i].hidden)
			continue;
		names[name_count++] = name;
		snprintf(firsts[i], sizeof firsts[i], "%.*s", (int)strcspn(name, " "),
			 name);
		names[name_count++] = firsts[i];
	}
	snprintf(said, sizeof said, "%s", words[0]);
	if (count > 1 && words[1][0] != '-')
		snprintf(said, sizeof said, "%s %s", words[0], words[1]);
	const char *near = names_suggest(said, names, name_count);
	if (!is_group) { /* what comes behind it is an argument */
		if (!near)
			near = names_suggest(words[0], names, name_count);
		snprintf(said, sizeof said, "%s", words[0]);
	}
	if (!near)
		return cli_usage(cli, "cashet help lists them",
				 "there is no command \"%s\"", said);
	return cli_usage(cli, "cashet help lists them",
			 "there is no command \"%s\"; did you mean %s?", said, near);
}

int cmd_help(struct cli *cli)
{
	size_t used = 0, count = cli->words.count;
	char *const *words = (char *const *)cli->words.items;
	const struct command *command = cli_find_command(words, count, &used);
	if (command && used < count)
		return cli_usage(cli, "", "\"%s\" is one word too many behind %s",
				 words[used], command->name);
	if (command || !count)
		return help_write(cli, command, false);
	if (count == 1 && cli_is_group(words[0]))
		return help_group(cli, words[0]);
	return unknown_command(cli, words, count);
}

int cmd_version(struct cli *cli)
{
	CLEANUP_BUF struct buf out = {0};
	struct json j;
	if (!cli->settings.json) {
		buf_printf(&out, "cashet %s\n", cashet_version());
		return cli_write(cli, &out);
	}
	json_begin(&j, &out);
	json_key(&j, "version");
	json_string(&j, cashet_version());
	return json_finish(cli, &j);
}

/* ---- running ---- */

static int check_words(const struct cli *cli, const struct command *command, bool only)
{
	if (cli->words.count >= command->least && cli->words.count <= command->most)
		return 0;
	const char *name = only ? "" : command->name, *space = only ? "" : " ";
	CLEANUP_BUF struct buf usage = {0};
	buf_printf(&usage, "usage: %s%s%s [OPTIONS]%s%s", cli->program, space, name,
		   *command->words ? " " : "", command->words);
	if (cli->words.count > command->most)
		return cli_usage(cli, buf_cstr(&usage), "\"%s\" is one argument too many",
				 cli->words.items[command->most]);
	return cli_usage(cli, buf_cstr(&usage), "%s%s%s needs %s", cli->program, space,
			 name, command->words);
}

static int run(struct cli *cli, const struct command *command, bool only, int argc,
	       char *const *argv)
{
	struct err e;
	cli->command = only ? NULL : command->name;
	if (options_parse(&cli->settings, OPTIONS_GLOBAL | command->options, argc, argv,
			  false, &cli->words, &e) < 0)
		return cli_slip(cli, &e);
	if (cli->settings.help)
		return help_write(cli, command, only);
	if (cli->settings.version)
		return cmd_version(cli);
	const char *color = cli->settings.color;
	if (color && strcmp(color, "auto") != 0 && strcmp(color, "always") != 0 &&
	    strcmp(color, "never") != 0)
		return cli_usage(cli, "",
				 "--color takes auto, always or never, not \"%s\"",
				 color);
	int r = check_words(cli, command, only);
	return r ? r : command->run(cli);
}

static int choose(struct cli *cli, int argc, char *const *argv)
{
	struct err e;
	int used = options_parse(&cli->settings, OPTIONS_GLOBAL, argc, argv, true,
				 &cli->words, &e);
	if (used < 0)
		return cli_slip(cli, &e);
	if (used == argc) {
		if (cli->settings.version)
			return cmd_version(cli);
		if (cli->settings.help)
			return help_write(cli, NULL, false);
		return cli_usage(cli, "cashet help lists them; cashet submit FILE begins",
				 "which command?");
	}
	size_t name_words = 0, left = (size_t)(argc - used);
	char *const *words = argv + used;
	const struct command *command = cli_find_command(words, left, &name_words);
	if (!command && left == 2 && cli_is_group(words[0]) &&
	    (strcmp(words[1], "--help") == 0 || strcmp(words[1], "-h") == 0))
		return help_group(cli, words[0]);
	if (!command)
		return unknown_command(cli, words, left);
	used += (int)name_words;
	return run(cli, command, false, argc - used, argv + used);
}

int cli_main(const char *program, const char *command, int argc, char *const *argv)
{
	fs_standard_open();
	struct cli cli = {.program = program};
	cli.words.items = mem_alloc(((size_t)argc + 1) * sizeof *cli.words.items);
	int code = ERR_USAGE;
	if (command) {
		char *name = (char *)command;
		size_t used;
		code = run(&cli, cli_find_command(&name, 1, &used), true, argc, argv);
	} else {
		code = choose(&cli, argc, argv);
	}
	if (code == CLI_LEFT)
		code = 0;
	if (fflush(stdout) && code == 0)
		code = ERR_FAILED;
	cashet_close(cli.c);
	free(cli.words.items);
	settings_fini(&cli.settings);
	return code;
}
