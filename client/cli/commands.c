/* commands.c - the table of commands, help and did-you-mean from it, and the way from argv to a
 * command. To add one: a row here, cmd_*() in a file of its own kind, a section in docs/cli.md. */
#include "client/cli/cli.h"

#include "common/names.h"
#include "common/pure/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct command command_table[] = {
	{"submit", "FILE", "submit a batch file and wait for it",
	 "FILE is YAML, JSON or JSONL; - is standard input. Running the same file again "
	 "is resume:\n"
	 "what is in the cache is not run. Ctrl-C detaches, the batch goes on.",
	 OPTIONS_SUBMIT | OPTIONS_DETACH | OPTIONS_DRY_RUN | OPTIONS_VERBOSE, 1, 1,
	 cmd_submit},
	{"ps", "", "list batches that are going on", NULL, OPTIONS_ALL, 0, 0, cmd_ps},
	{"wait", "[BATCH]", "wait until a batch has ended; the newest if none is named",
	 NULL, OPTIONS_TIMEOUT, 0, 1, cmd_wait},
	{"results", "[BATCH]", "print parameters, metrics and states of a batch's tasks",
	 "With --group-by or --agg a row is what several completed tasks have in "
	 "common.\n"
	 "std is that of a sample (n - 1). What is not a number is left out, and said.",
	 OPTIONS_CSV, 0, 1, cmd_results},
	{"best", "[BATCH]", "print the best results of a sweep",
	 "Metric and direction are those of metrics.best of the tasks, unless given.",
	 OPTIONS_BEST, 0, 1, cmd_best},
	{"log", "", "list what was computed, newest first",
	 "Failures too. On a terminal it is shown by $CASHET_PAGER, $PAGER or less.",
	 OPTIONS_LOG, 0, 0, cmd_log},
	{"show", "COMMIT", "print all that is known of a commit",
	 "COMMIT: 4 or more digits of its hash, BATCH:INDEX of a task, or a pin's name.",
	 0, 1, 1, cmd_show},
	{"history", "COMMIT",
	 "list all runs of the same function and arguments, or what it was made from",
	 NULL, OPTIONS_GRAPH, 1, 1, cmd_history},
	{"stats", "", "print what the store holds, and what it has saved", NULL, 0, 0, 0,
	 cmd_stats},
	{"get", "COMMIT|BATCH:INDEX", "write a result's exact bytes",
	 "The result is the task's only output, or its standard output when it declares "
	 "none.\n"
	 "With several outputs, name one with --output, or a new folder for all with -o.",
	 OPTIONS_GET | OPTIONS_STREAM, 1, 1, cmd_get},
	{"logs", "BATCH:INDEX", "print what a task wrote, also while it runs",
	 "Its standard output goes to standard output, its standard error to standard "
	 "error.",
	 OPTIONS_FOLLOW | OPTIONS_STREAM, 1, 1, cmd_logs},
	{"why", "BATCH:INDEX|COMMIT|PIN",
	 "say why a task ran, was a hit, waits, was skipped or failed",
	 "It compares the fingerprint's components with the nearest earlier commit of "
	 "the same "
	 "name, and names\nthe one that changed.",
	 0, 1, 1, cmd_why},
	{"diff", "A B",
	 "say what differs between two runs: function, arguments, inputs, outputs",
	 "Each is BATCH:INDEX, a commit or a pin. Texts and JSON are compared inside, "
	 "the rest by "
	 "sizes and\ndigests.",
	 0, 2, 2, cmd_diff},
	{"shell", "BATCH:INDEX|COMMIT", "open a shell in the exact directory of a task",
	 "Code, inputs and environment are laid out as for the task, whose command is in "
	 "../run.\nThe folder goes when the shell ends, unless --keep or --dir.",
	 OPTIONS_SHELL, 1, 1, cmd_shell},
	{"cancel", "BATCH[:INDEX]", "cancel a batch or one of its tasks", NULL, 0, 1, 1,
	 cmd_cancel},
	{"retry", "[BATCH]",
	 "submit the same tasks again and wait; the newest batch's if none is named",
	 NULL, OPTIONS_DETACH, 0, 1, cmd_retry},
	{"gc", "", "remove what has expired, is old, or is too much",
	 "Least recently used first; bytes go before records, so nothing that has "
	 "finished\n"
	 "runs again because of it. What runs, waits or is pinned stays.",
	 OPTIONS_GC | OPTIONS_DRY_RUN, 0, 0, cmd_gc},
	{"clear", "", "remove every result that nothing needs just now",
	 "What runs, waits or is pinned stays.", OPTIONS_DRY_RUN | OPTIONS_YES, 0, 0,
	 cmd_clear},
	{"rm", "COMMIT...", "remove commits from the store",
	 "Their bytes go with the next gc, unless something else needs them.",
	 OPTIONS_DRY_RUN | OPTIONS_YES, 1, 10000, cmd_rm},
	{"invalidate", "", "let results be found no more; they stay in the history",
	 "All conditions that are given must hold.",
	 OPTIONS_FILTER | OPTIONS_DRY_RUN | OPTIONS_YES, 0, 0, cmd_invalidate},
	{"pin", "COMMIT", "give a commit a name; gc keeps it", NULL, OPTIONS_PIN, 1, 1,
	 cmd_pin},
	{"unpin", "NAME", "take a pin away", NULL, 0, 1, 1, cmd_unpin},
	{"pins", "", "list pins", NULL, 0, 0, 0, cmd_pins},
	{"export", "FILE [COMMIT...]",
	 "write commits and all that they need to an archive",
	 "Everything that would be a hit, unless commits are named or conditions are "
	 "given.\n"
	 "- is standard output. The file appears when it is complete.",
	 OPTIONS_EXPORT, 1, 10001, cmd_export},
	{"import", "FILE", "read an archive into the store: all of it or nothing",
	 "- is standard input. All of it is verified; what is there already stays as it "
	 "is.",
	 OPTIONS_IMPORT | OPTIONS_DRY_RUN, 1, 1, cmd_import},
	{"fsck", "", "check the store; exit 1 if something is wrong", NULL, OPTIONS_FSCK,
	 0, 0, cmd_fsck},
	{"worker ls", "", "list workers", NULL, 0, 0, 0, cmd_worker_ls},
	{"worker drain", "NAME", "let a worker finish what it runs and take nothing new",
	 NULL, OPTIONS_DEADLINE, 1, 1, cmd_worker_drain},
	{"broker status", "", "how the broker is doing", NULL, 0, 0, 0,
	 cmd_broker_status},
	{"broker drain", "", "let the broker finish what runs, and end", NULL,
	 OPTIONS_DEADLINE, 0, 0, cmd_broker_drain},
	{"key new", "NAME", "make a pair of keys", NULL, 0, 1, 1, cmd_key_new},
	{"key trust", "PUBKEY", "trust a key", NULL, OPTIONS_ROLE, 1, 1, cmd_key_trust},
	{"key ls", "", "list our keys and the trusted ones", NULL, 0, 0, 0, cmd_key_ls},
	{"key revoke", "PUBKEY|NAME", "trust a key no longer", NULL, 0, 1, 1,
	 cmd_key_revoke},
	{"version", "", "print the version", NULL, 0, 0, 0, cmd_version},
	{"help", "[COMMAND]", "explain a command", NULL, 0, 0, 2, cmd_help},
};
const size_t command_count = ARRAY_LEN(command_table);

/* ---- help ---- */

static void help_options(struct buf *out, unsigned sets)
{
	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *row = &option_table[i];
		char left[64];
		if (!(row->set & sets))
			continue;
		snprintf(left, sizeof left, "%c%c%s --%s%s%s", row->letter ? '-' : ' ',
			 row->letter ? row->letter : ' ', row->letter ? "," : " ",
			 row->name, row->value ? " " : "", row->value ? row->value : "");
		buf_printf(out, "  %-26s  %s\n", left, row->help);
	}
}

static void help_command(struct buf *out, const char *program,
			 const struct command *command, bool only)
{
	if (only)
		buf_printf(out, "usage: %s [OPTIONS] %s\n\n", program, command->words);
	else
		buf_printf(out, "usage: %s %s [OPTIONS] %s\n\n", program, command->name,
			   command->words);
	buf_printf(out, "%s\n", command->summary);
	if (command->help)
		buf_printf(out, "%s\n", command->help);
	if (command->options) {
		buf_add_str(out, "\noptions\n");
		help_options(out, command->options);
	}
	buf_add_str(out, "\noptions of every command\n");
	help_options(out, OPTIONS_GLOBAL);
}

static void help_all(struct buf *out, const char *program)
{
	buf_printf(out, "usage: %s COMMAND [OPTIONS] ...\n\ncommands\n", program);
	for (size_t i = 0; i < command_count; i++) {
		char left[64];
		snprintf(left, sizeof left, "%s %s", command_table[i].name,
			 command_table[i].words);
		buf_printf(out, "  %-26s  %s\n", left, command_table[i].summary);
	}
	buf_add_str(out, "\noptions of every command\n");
	help_options(out, OPTIONS_GLOBAL);
	buf_printf(out,
		   "\n%s help COMMAND explains one. Exit codes: 0 ok, 1 tasks failed, 2 "
		   "usage "
		   "or bad file,\n3 broker unreachable, 4 not allowed, 5 not found, 6 "
		   "ambiguous, 7 timed out, 130 detached.\n",
		   program);
}

/* ---- finding ---- */

/* @used: words that the name took. */
static const struct command *find_command(char *const *words, size_t count, size_t *used)
{
	for (size_t i = 0; i < command_count; i++) {
		const char *name = command_table[i].name, *space = strchr(name, ' ');
		size_t first = space ? (size_t)(space - name) : strlen(name);
		if (strlen(words[0]) != first || memcmp(words[0], name, first))
			continue;
		*used = space ? 2 : 1;
		if (!space || (count > 1 && strcmp(words[1], space + 1) == 0))
			return &command_table[i];
	}
	return NULL;
}

static int unknown_command(const struct cli *cli, char *const *words, size_t count)
{
	char said[128], firsts[ARRAY_LEN(command_table)][32];
	const char *names[2 * ARRAY_LEN(command_table)];
	size_t name_count = 0, first_size = strlen(words[0]);
	bool is_group = false;
	snprintf(said, sizeof said, "%s", words[0]);
	for (size_t i = 0; i < command_count; i++) {
		const char *name = command_table[i].name;
		is_group = is_group || (strncmp(name, words[0], first_size) == 0 &&
					name[first_size] == ' ');
		names[name_count++] = name;
		snprintf(firsts[i], sizeof firsts[i], "%.*s", (int)strcspn(name, " "),
			 name);
		names[name_count++] = firsts[i];
	}
	if (is_group && count < 2) {
		CLEANUP_BUF struct buf list = {0};
		for (size_t i = 0; i < command_count; i++)
			if (strncmp(command_table[i].name, words[0], first_size) == 0 &&
			    command_table[i].name[first_size] == ' ')
				buf_printf(&list, "%s%s %s", list.size ? ", " : "",
					   cli->program, command_table[i].name);
		return cli_usage(cli, buf_cstr(&list), "%s what?", words[0]);
	}
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
	return cli_usage(cli, "", "there is no command \"%s\"; did you mean %s?", said,
			 near);
}

static int write_help(struct cli *cli, const struct command *command, bool only)
{
	CLEANUP_BUF struct buf out = {0};
	if (command)
		help_command(&out, cli->program, command, only);
	else
		help_all(&out, cli->program);
	return cli_write(cli, &out);
}

int cmd_help(struct cli *cli)
{
	size_t used = 0;
	if (!cli->words.count)
		return write_help(cli, NULL, false);
	const struct command *command =
		find_command((char *const *)cli->words.items, cli->words.count, &used);
	if (!command)
		return unknown_command(cli, (char *const *)cli->words.items,
				       cli->words.count);
	return write_help(cli, command, false);
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
	buf_printf(&usage, "usage: %s%s%s %s", cli->program, space, name, command->words);
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
	if (options_parse(&cli->settings, OPTIONS_GLOBAL | command->options, argc, argv,
			  false, &cli->words, &e) < 0)
		return cli_fail_err(cli, &e);
	if (cli->settings.help)
		return write_help(cli, command, only);
	if (cli->settings.version)
		return cmd_version(cli);
	int r = check_words(cli, command, only);
	return r ? r : command->run(cli);
}

static int choose(struct cli *cli, int argc, char *const *argv)
{
	struct err e;
	int used = options_parse(&cli->settings, OPTIONS_GLOBAL, argc, argv, true,
				 &cli->words, &e);
	if (used < 0)
		return cli_fail_err(cli, &e);
	if (used == argc) {
		if (cli->settings.version)
			return cmd_version(cli);
		if (cli->settings.help)
			return write_help(cli, NULL, false);
		return cli_usage(cli, "cashet help lists the commands", "which command?");
	}
	size_t name_words = 0;
	const struct command *command =
		find_command(argv + used, (size_t)(argc - used), &name_words);
	if (!command)
		return unknown_command(cli, argv + used, (size_t)(argc - used));
	used += (int)name_words;
	return run(cli, command, false, argc - used, argv + used);
}

int cli_main(const char *program, const char *command, int argc, char *const *argv)
{
	struct cli cli = {.program = program};
	cli.words.items = mem_alloc(((size_t)argc + 1) * sizeof *cli.words.items);
	int code = ERR_USAGE;
	if (command) {
		char *name = (char *)command;
		size_t used;
		code = run(&cli, find_command(&name, 1, &used), true, argc, argv);
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
