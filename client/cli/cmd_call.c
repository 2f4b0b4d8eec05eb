/* cmd_call.c - submit FILE:FUNCTION ARG...: one call, and its result. */
#include "client/cli/arguments.h"
#include "client/cli/show_why.h"
#include "client/cli/submitting.h"
#include "client/cli/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHOWN_MAX (64u << 10) /* bytes of a result that a terminal gets unasked */

static int set_isolation(struct cli *cli, struct cashet_task *task)
{
	const char *how = cli->settings.isolation;
	if (how && strcmp(how, "shared") && strcmp(how, "fork"))
		return cli_usage(cli, "", "--isolation is shared or fork, not \"%.100s\"",
				 how);
	task->fork = how && !strcmp(how, "fork");
	return 0;
}

static int make_task(struct arguments *a, struct cashet_task *task)
{
	struct cli *cli = a->cli;
	const struct settings *s = &cli->settings;
	size_t count = cli->words.count - 1;
	struct cashet_arg *args = arena_calloc(&a->arena, count, sizeof *args);
	struct cashet_arg *kwargs =
		arena_calloc(&a->arena, s->keywords.count, sizeof *kwargs);
	if (!args || !kwargs)
		abort();
	*task = (struct cashet_task){
		.call = cli->words.items[0],
		.args = args,
		.arg_count = count,
		.kwargs = kwargs,
		.kwarg_count = s->keywords.count,
		.python = s->python,
		.cflags = s->cflags.items,
		.cflag_count = s->cflags.count,
		.timeout_ns = s->task_timeout_ns,
		.retries = s->retries > UINT32_MAX ? UINT32_MAX : (uint32_t)s->retries,
	};
	int code = set_isolation(cli, task);
	for (size_t i = 0; code == 0 && i < count; i++)
		code = argument_parse(a, cli->words.items[i + 1], &args[i]);
	for (size_t i = 0; code == 0 && i < s->keywords.count; i++)
		code = argument_keyword(a, s->keywords.items[i], &kwargs[i]);
	return code;
}

/* show_result() - below the table, for people: what is small, and text. */
static int show_result(struct cli *cli, const char *batch)
{
	struct cashet_results *results;
	const struct cashet_result *r;
	struct cashet_error e;
	if (cashet_result_one(cli->c, batch, 0, &results, &r, &e))
		return cli_fail(cli, &e);
	const struct cashet_content *content = &r->result;
	bool shown =
		content->size <= SHOWN_MAX && (content->type == CASHET_CONTENT_JSON ||
					       content->type == CASHET_CONTENT_FILE);
	int code = 0;
	if (shown) {
		struct terminal t = {.fd = STDOUT_FILENO, .refuse_binary = true};
		shown = !cashet_get_blob(cli->c, content->digest, terminal_write, &t, &e);
		if (shown)
			terminal_end(&t);
		else if (!t.is_binary)
			code = cli_fail(cli, &e);
		shown = shown && !t.is_binary;
		terminal_fini(&t);
	}
	if (shown && content->size && code == 0) {
		CLEANUP_BUF struct buf end = {0};
		buf_add_str(&end, "\n"); /* JSON has no line end of its own */
		code = content->type == CASHET_CONTENT_JSON ? cli_write(cli, &end) : 0;
	} else if (!shown && code == 0) {
		cli_note(cli, "its result: cashet get %.*s:0", SHORT_HASH, batch);
	}
	cashet_results_close(results);
	return code;
}

static int submit(struct cli *cli, const struct cashet_task *task,
		  const struct cashet_submit_options *options)
{
	const struct settings *s = &cli->settings;
	struct cashet_error e;
	char batch[CASHET_HEX_SIZE];
	if (s->dry_run)
		return dry_run(cli, &(struct dry_run_what){.tasks = task, .count = 1},
			       options);
	if (cashet_submit(cli->c, task, options, batch, &e))
		return cli_fail(cli, &e);
	if (s->detach)
		return submitting_name(cli, batch);
	int code = submitting_follow(cli, batch, true);
	if (code == 0 && cli->tty_out && !s->json)
		code = show_result(cli, batch);
	return code;
}

int submit_call(struct cli *cli, const struct cashet_submit_options *options)
{
	struct arguments a = {.cli = cli};
	struct cashet_task task;
	struct cashet_submit_options named = *options;
	if (!named.name)
		named.name = cli->words.items[0];
	if (cli->settings.format)
		return cli_usage(cli, "", "--format is for batch files");
	cli_catch();
	int code = cli_open(cli, false, true);
	if (code == 0)
		code = make_task(&a, &task);
	if (code == 0)
		code = submit(cli, &task, &named);
	arguments_fini(&a);
	return code;
}
