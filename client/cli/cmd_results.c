/* cmd_results.c - results: which tasks' values are wanted and in which form. */
#include "client/cli/results.h"
#include "client/cli/spool.h"

#include "common/names.h"
#include "common/pure/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- names that there are ---- */

void met_fini(struct met *m)
{
	intern_fini(&m->params);
	intern_fini(&m->metrics);
}

void met_note(struct met *m, const struct cashet_result *r)
{
	for (size_t i = 0; i < r->param_count; i++)
		intern_add(&m->params, r->params[i].name, strlen(r->params[i].name) + 1);
	for (size_t i = 0; i < r->metric_count; i++)
		intern_add(&m->metrics, r->metrics[i].name,
			   strlen(r->metrics[i].name) + 1);
}

static bool is_among(const char *name, const char *const *known, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(name, known[i]))
			return true;
	return false;
}

int names_check(const struct cli *cli, const struct text_list *names,
		const char *const *known, size_t count, const char *what,
		const char *batch)
{
	for (size_t i = 0; i < names->count; i++) {
		const char *name = names->items[i];
		if (is_among(name, known, count))
			continue;
		const char *near = names_suggest(name, known, count);
		CLEANUP_BUF struct buf next = {0};
		buf_add_str(&next, count ? "there is: " : "");
		for (size_t k = 0; k < count; k++)
			buf_printf(&next, "%s%s", k ? ", " : "", known[k]);
		if (!count)
			buf_printf(&next, "no task has a %s so far", what);
		return cli_usage(cli, buf_cstr(&next),
				 "no task of batch %.*s has a %s \"%s\"%s%s%s",
				 SHORT_HASH, batch, what, name,
				 near ? "; did you mean " : "", near ? near : "",
				 near ? "?" : "");
	}
	return 0;
}

int met_check(const struct cli *cli, const struct text_list *names,
	      const struct intern *known, const char *what, const char *batch)
{
	CLEANUP_FREE const char **texts = mem_alloc((known->count + 1) * sizeof *texts);
	for (uint32_t i = 0; i < known->count; i++)
		texts[i] = intern_text(known, i);
	return names_check(cli, names, texts, known->count, what, batch);
}

/* ---- what is asked for ---- */

static void split_names(const struct text_list *list, struct text_list *out)
{
	for (size_t i = 0; i < list->count; i++) {
		char *copy = mem_strdup(list->items[i]), *save = NULL;
		for (char *name = strtok_r(copy, ",", &save); name;
		     name = strtok_r(NULL, ",", &save)) {
			mem_grow(out->items, out->count, out->capacity);
			out->items[out->count++] = mem_strdup(name);
		}
		free(copy);
	}
}

static void free_names(struct text_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free((char *)list->items[i]);
	free(list->items);
}

static void wanted_fini(struct wanted *w)
{
	free_names(&w->params);
	free_names(&w->group_by);
}

static int parse_kinds(const struct cli *cli, const char *text, struct wanted *w)
{
	CLEANUP_FREE char *copy = mem_strdup(text);
	char *save = NULL;
	for (char *word = strtok_r(copy, ",", &save); word;
	     word = strtok_r(NULL, ",", &save)) {
		unsigned kind = 0;
		if (strcmp(word, "count") == 0)
			word = (char *)summary_names[SUMMARY_N];
		while (kind < SUMMARY_KINDS && strcmp(word, summary_names[kind]))
			kind++;
		if (kind == SUMMARY_KINDS) {
			const char *near =
				names_suggest(word, summary_names, SUMMARY_KINDS);
			return cli_usage(cli,
					 "there is: n, mean, std, min, max, median, sum",
					 "--agg cannot be \"%s\"%s%s%s", word,
					 near ? "; did you mean " : "", near ? near : "",
					 near ? "?" : "");
		}
		bool again = false;
		for (unsigned i = 0; i < w->kind_count; i++)
			again = again || w->kinds[i] == kind;
		if (!again)
			w->kinds[w->kind_count++] = kind;
	}
	if (!w->kind_count)
		return cli_usage(cli, "there is: n, mean, std, min, max, median, sum",
				 "--agg needs one or more of them");
	return 0;
}

static int read_wanted(const struct cli *cli, struct wanted *w)
{
	const struct settings *s = &cli->settings;
	bool groups = s->group_by.count || s->agg;
	if (s->csv && s->json)
		return cli_usage(cli, "", "--csv or --json, not both");
	if (groups && s->params.count)
		return cli_usage(cli, "name it with --group-by",
				 "--param chooses columns of tasks: groups have those of "
				 "--group-by");
	w->groups = groups;
	w->metrics = s->metrics; /* whose names may have commas */
	split_names(&s->params, &w->params);
	split_names(&s->group_by, &w->group_by);
	return groups ? parse_kinds(cli, s->agg ? s->agg : "mean,std,min,max", w) : 0;
}

/* ---- tasks as JSON, with some of their values ---- */

static size_t choose_params(const struct cashet_result *r, const struct text_list *names,
			    struct cashet_param *out)
{
	size_t count = 0;
	for (size_t k = 0; k < names->count; k++)
		for (size_t i = 0; i < r->param_count; i++)
			if (strcmp(names->items[k], r->params[i].name) == 0)
				out[count++] = r->params[i];
	return count;
}

static size_t choose_metrics(const struct cashet_result *r, const struct text_list *names,
			     struct cashet_metric *out)
{
	size_t count = 0;
	for (size_t k = 0; k < names->count; k++)
		for (size_t i = 0; i < r->metric_count; i++)
			if (strcmp(names->items[k], r->metrics[i].name) == 0)
				out[count++] = r->metrics[i];
	return count;
}

/* All that is not a name stays as it is. */
static void json_some(struct json *j, const struct cashet_result *r,
		      const struct wanted *w)
{
	struct cashet_result some = *r;
	CLEANUP_FREE struct cashet_param *params =
		mem_alloc((w->params.count + 1) * sizeof *params);
	CLEANUP_FREE struct cashet_metric *metrics =
		mem_alloc((w->metrics.count + 1) * sizeof *metrics);
	if (w->params.count) {
		some.params = params;
		some.param_count = choose_params(r, &w->params, params);
	}
	if (w->metrics.count) {
		some.metrics = metrics;
		some.metric_count = choose_metrics(r, &w->metrics, metrics);
	}
	json_result(j, &some);
}

static int pour(struct cli *cli, struct spool *spool)
{
	CLEANUP_BUF struct buf out = {0};
	struct err e;
	int error = spool_rewind(spool);
	const void *head;
	uint32_t size;
	while (!error && (head = spool_next(spool, sizeof size))) {
		memcpy(&size, head, sizeof size);
		const void *text = spool_next(spool, size);
		if (!text)
			break;
		buf_add(&out, text, size);
		int failed = json_pass(cli, &out);
		if (failed)
			return failed;
	}
	error = error ? error : spool->error;
	if (error) {
		err_set(&e, ERR_FAILED, "a temporary file cannot be used: %s",
			strerror(-error));
		err_next(&e, "TMPDIR says where such files are");
		return cli_fail_err(cli, &e);
	}
	return cli_write(cli, &out);
}

static int read_some(struct cli *cli, struct cashet_results *results,
		     const struct wanted *w, struct met *met, struct spool *spool)
{
	CLEANUP_BUF struct buf out = {0};
	struct json j;
	struct cashet_error e;
	json_batch(&j, &out, cashet_results_batch(results));
	json_key(&j, "tasks");
	json_array(&j);
	const struct cashet_result *r;
	do {
		if (cashet_results_next(results, &r, &e))
			return cli_fail(cli, &e);
		if (r) {
			met_note(met, r);
			json_some(&j, r, w);
		} else {
			json_end_array(&j);
			json_end_object(&j);
			buf_add_byte(&out, '\n');
		}
		uint32_t size = (uint32_t)out.size;
		spool_add(spool, &size, sizeof size);
		spool_add(spool, out.data, out.size);
		buf_reset(&out);
	} while (r);
	return 0;
}

/* Nothing is printed before it is known that all names are right. */
static int json_chosen(struct cli *cli, struct cashet_results *results,
		       const struct wanted *w)
{
	struct met met = {0};
	struct spool spool = {0};
	const char *batch = cashet_results_batch(results)->batch;
	int code = read_some(cli, results, w, &met, &spool);
	if (code == 0)
		code = met_check(cli, &w->params, &met.params, "parameter", batch);
	if (code == 0)
		code = met_check(cli, &w->metrics, &met.metrics, "metric", batch);
	if (code == 0)
		code = pour(cli, &spool);
	met_fini(&met);
	spool_fini(&spool);
	return code;
}

static int print_results(struct cli *cli, struct cashet_results *results,
			 const struct wanted *w)
{
	if (w->groups)
		return results_groups(cli, results, w);
	if (!cli->settings.json)
		return results_tasks(cli, results, w, cli->settings.csv);
	if (w->params.count || w->metrics.count)
		return json_chosen(cli, results, w);
	return show_json(cli, results);
}

int cmd_results(struct cli *cli)
{
	struct cashet_error e;
	struct cashet_results *results;
	struct wanted w = {0};
	int code = read_wanted(cli, &w);
	cli_catch();
	if (code == 0)
		code = cli_open(cli, true, true);
	if (code == 0 &&
	    cashet_results_open(cli->c, cli->words.count ? cli->words.items[0] : "",
				&results, &e))
		code = cli_fail(cli, &e);
	else if (code == 0) {
		code = print_results(cli, results, &w);
		cashet_results_close(results);
	}
	wanted_fini(&w);
	return code;
}
