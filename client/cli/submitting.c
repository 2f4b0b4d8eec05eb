/* submitting.c - see submitting.h. */
#include "client/cli/submitting.h"

#include "client/describe/describe.h"
#include "common/pure/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TABLE_TASKS_MAX                                                                  \
	40 /* batches up to this size end with a table of all their tasks */
#define NAMES_MAX 100

/* ---- how a batch ends: a table of its tasks, or of their names when there are many ---- */

static int render_names(struct cli *cli, const struct cashet_by_name *by)
{
	struct table t;
	CLEANUP_BUF struct buf out = {0};
	static const char *const heads[] = {"task",   "tasks",	 "cached",   "executed",
					    "failed", "skipped", "cancelled"};
	table_init(&t, ARRAY_LEN(heads));
	for (size_t i = 0; i < ARRAY_LEN(heads); i++)
		table_cell(&t, heads[i]);
	for (size_t i = 0; i < by->count; i++) {
		const struct cashet_counts *c = &by->items[i].counts;
		const uint64_t cells[] = {
			c->total,  c->cached,  c->executed + c->deduplicated,
			c->failed, c->skipped, c->cancelled};
		table_cell(&t, by->items[i].name);
		for (size_t k = 0; k < ARRAY_LEN(cells); k++)
			table_cellf(&t, "%" PRIu64, cells[k]);
	}
	table_render(&t, &out, cli->color_out);
	table_fini(&t);
	return cli_write(cli, &out);
}

/* If every task has its own name the counts say it all. */
static int show_names(struct cli *cli, const char *batch)
{
	struct cashet_error e;
	struct cashet_by_name *by;
	if (cashet_by_name(cli->c, batch, NAMES_MAX, &by, &e))
		return cli_fail(cli, &e);
	int code = by->too_many ? 0 : render_names(cli, by);
	cashet_by_name_free(by);
	return code;
}

static int show_tasks(struct cli *cli, const char *batch)
{
	struct cashet_error e;
	struct cashet_results *results;
	if (cashet_results_open(cli->c, batch, &results, &e))
		return cli_fail(cli, &e);
	int code = cli->settings.json ? show_json(cli, results)
				      : show_table(cli, results, false);
	cashet_results_close(results);
	return code;
}

int submitting_end(struct cli *cli, const char *batch, const struct cashet_counts *counts)
{
	CLEANUP_BUF struct buf text = {0};
	show_counts(&text, counts);
	int code = cli->settings.json || counts->total <= TABLE_TASKS_MAX
			   ? show_tasks(cli, batch)
			   : show_names(cli, batch);
	if (code == 0 && !cli->settings.json)
		cli_note(cli, "%s", buf_cstr(&text));
	return code;
}

int submitting_name(struct cli *cli, const char *batch)
{
	CLEANUP_BUF struct buf out = {0};
	struct json j;
	if (!cli->settings.json) {
		buf_printf(&out, "%.*s\n", SHORT_HASH, batch);
		return cli_write(cli, &out);
	}
	json_begin(&j, &out);
	json_key(&j, "batch");
	json_string(&j, batch);
	return json_finish(cli, &j);
}

int submitting_follow(struct cli *cli, const char *batch, bool submitted)
{
	struct cashet_counts counts;
	bool paused = false;
	int code = follow_batch(cli, batch, submitted, 0, &counts, &paused);
	if (code == 0)
		code = submitting_end(cli, batch, &counts);
	return code ? code : paused ? CASHET_FAILED : follow_outcome(&counts);
}

/* "key=value" to its parts; the texts are in @copies. */
static int split_tags(struct cli *cli, struct cashet_pair **pairsp, char **copiesp)
{
	const struct text_list *tags = &cli->settings.tags;
	size_t size = 1;
	for (size_t i = 0; i < tags->count; i++)
		size += strlen(tags->items[i]) + 1;
	char *to = *copiesp = mem_alloc(size);
	struct cashet_pair *pairs = *pairsp =
		mem_alloc((tags->count + 1) * sizeof *pairs);
	for (size_t i = 0; i < tags->count; i++) {
		strcpy(to, tags->items[i]);
		char *equals = strchr(to, '=');
		if (!equals || equals == to)
			return cli_usage(cli, "", "--tag takes KEY=VALUE, not \"%s\"",
					 tags->items[i]);
		*equals = '\0';
		pairs[i] = (struct cashet_pair){.key = to, .value = equals + 1};
		to += strlen(tags->items[i]) + 1;
	}
	return 0;
}

/* A warning is chatter; files and names in it are strangers'. */
static void warned(void *arg, const char *text)
{
	struct cli *cli = arg;
	CLEANUP_BUF struct buf line = {0};
	text_escape(&line, text, strlen(text));
	cli_note(cli, "%s: warning: %s", cli->program, buf_cstr(&line));
}

int submitting_begin(struct submitting *s, struct cli *cli)
{
	const struct settings *settings = &cli->settings;
	*s = (struct submitting){0};
	if (settings->force && settings->no_cache)
		return cli_usage(cli, "",
				 "--force keeps the new results, --no-cache does not: "
				 "one of them");
	int code = split_tags(cli, &s->tags, &s->copies);
	s->options = (struct cashet_submit_options){
		.name = settings->batch_name,
		.tags = s->tags,
		.tag_count = settings->tags.count,
		.force = settings->force,
		.no_cache = settings->no_cache,
		.no_sync = !settings->detach,
		.format = settings->format,
		.warned = warned,
		.warned_arg = cli,
	};
	return code;
}

void submitting_fini(struct submitting *s)
{
	free(s->tags);
	free(s->copies);
}

bool submitting_is_call(const char *word)
{
	const char *name;
	size_t size = describe_split(word, &name);
	CLEANUP_FREE char *file = mem_strdup(word);
	file[size] = '\0';
	return name && describe_language(file) && access(word, F_OK) < 0;
}

int submitting_refuse_call(struct cli *cli)
{
	const struct settings *s = &cli->settings;
	const char *option = s->keywords.count	  ? "--kw"
			     : s->cflags.count	  ? "--cflag"
			     : s->python	  ? "--python"
			     : s->isolation	  ? "--isolation"
			     : s->task_timeout_ns ? "--timeout"
			     : s->retries	  ? "--retries"
						  : NULL;
	const char *next =
		"a function is FILE.py:NAME or FILE.c:NAME; of a batch file, its "
		"tasks say it";
	if (option)
		return cli_usage(cli, next, "%s is for functions, and %.200s names none",
				 option, cli->words.items[0]);
	if (cli->words.count > 1)
		return cli_usage(cli, next,
				 "arguments are for functions, and %.200s names none",
				 cli->words.items[0]);
	CLEANUP_FREE char *file = mem_strdup(cli->words.items[0]);
	size_t size = strlen(file);
	if (size && file[size - 1] == ':') /* and nothing behind it */
		file[size - 1] = '\0';
	if (describe_language(file))
		return cli_usage(
			cli, next,
			"%.200s is a source, and no batch file: say which of its "
			"functions is called",
			cli->words.items[0]);
	return 0;
}
