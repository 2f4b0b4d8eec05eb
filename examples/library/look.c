/* look.c - everything that libcashet can ask of a store, and do for it: submit a sweep, find the best run,
 * follow it to its inputs, compare it with another, pin it, and look after the store.
 *
 *   cc -o look look.c $(pkg-config --cflags --libs cashet)
 *   ./look STORE ARCHIVE        the store is made if it is not there; ARCHIVE is written
 */
#include <cashet.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct cashet_error e;

/* Every function of libcashet returns 0, or a code and then says in @e what happened and what to do. */
static void must(int code, const char *what)
{
	if (code == 0)
		return;
	fprintf(stderr, "%s: %s\n%s\n", what, e.what, e.next);
	exit(code);
}

static void submit(struct cashet *c, char batch[CASHET_HEX_SIZE])
{
	static const double values[] = {3, 1, 2};
	struct cashet_param params[3];
	struct cashet_task tasks[4] = {0};
	const struct cashet_pair tag = {"experiment", "e1"};
	const struct cashet_pair output = {"square", "square.txt"};
	const char *const best[] = {"loss:min"};
	struct cashet_source sources[3];
	memset(sources, 0, sizeof sources);
	for (uint32_t i = 0; i < 3; i++) {
		params[i] = (struct cashet_param){
			.name = "x", .value = {.type = CASHET_DOUBLE, .d = values[i]}};
		tasks[i] = (struct cashet_task){
			.name = "try",
			.shell = "awk 'BEGIN { x = ${p.x}; print x * x > \"square.txt\"; "
				 "printf \"{\\\"loss\\\": %g}\", x > \"m.json\" }'",
			.params = &params[i],
			.param_count = 1,
			.outputs = &output,
			.output_count = 1,
			.metrics = "m.json",
			.best = best,
			.best_count = 1,
			.tags = &tag,
			.tag_count = 1,
		};
		sources[i] =
			(struct cashet_source){.kind = CASHET_SOURCE_REF,
					       .ref = {.index = i, .output = "square"}};
	}
	const struct cashet_input all = {
		.name = "all", .sources = sources, .source_count = 3, .is_list = true};
	tasks[3] = (struct cashet_task){.name = "sum",
					.shell = "cat ${inputs.all}",
					.inputs = &all,
					.input_count = 1};
	/* What it would do, before it is done. */
	struct cashet_dry_run *dry;
	must(cashet_dry_run_many(c, tasks, 4, NULL, NULL, &dry, &e), "dry run");
	printf("dry run: %" PRIu64 " tasks, %" PRIu64 " hits\n", dry->total,
	       dry->counts[CASHET_WOULD_HIT]);
	cashet_dry_run_free(dry);
	must(cashet_submit_many(c, tasks, 4, NULL, batch, &e), "submit");
	struct cashet_counts counts;
	must(cashet_wait(c, batch, NULL, &counts, &e), "wait");
	printf("done: %" PRIu64 " of %" PRIu64 "\n", counts.executed + counts.cached,
	       counts.total);
}

static int print_best(void *arg, double value, const struct cashet_result *r)
{
	printf("best: task %" PRIu32 ", loss %g\n", r->index, value);
	*(uint32_t *)arg = r->index;
	return 0;
}

static int count_commit(void *arg, const struct cashet_commit *commit)
{
	(void)commit;
	++*(unsigned *)arg;
	return 0;
}

static int to_stdout(void *arg, const void *data, size_t size)
{
	(void)arg;
	return fwrite(data, 1, size, stdout) == size ? 0 : -1;
}

static int print_pin(void *arg, const struct cashet_pin *pin)
{
	(void)arg;
	printf("pin: %s%s\n", pin->name, pin->gone ? " (gone)" : "");
	return 0;
}

/* Of all tasks; of those with the same parameters, if grouping.by names some. */
static void spread(struct cashet *c, const char *batch)
{
	struct cashet_results *results;
	struct cashet_groups *g;
	must(cashet_results_open(c, batch, &results, &e), "results");
	must(cashet_groups(results, NULL, &g, &e), "groups");
	const struct cashet_summary *loss = &g->groups[0].metrics[0];
	printf("groups: %zu, the mean of %" PRIu64 " is %g, their spread %g\n",
	       g->group_count, loss->n, loss->mean, loss->std);
	cashet_groups_free(g);
	cashet_results_close(results);
}

/* What is known of the run that @what names: "BATCH:INDEX", a commit, or a pin. */
static void look(struct cashet *c, const char *what, const char *other)
{
	struct cashet_results *results;
	const struct cashet_result *r;
	must(cashet_commit_find(c, what, &results, &r, &e), "get");
	printf("its result: ");
	fflush(stdout);
	must(cashet_get_blob(c, r->outputs[0].content.digest, to_stdout, NULL, &e),
	     "get");
	cashet_results_close(results);

	struct cashet_shown *shown;
	must(cashet_show(c, what, &shown, &e), "show");
	printf("show: %s, %s, tag %s=%s\n", shown->commit.name,
	       shown->commit.failed ? "failed" : "completed", shown->commit.tags[0].key,
	       shown->commit.tags[0].value);
	cashet_shown_free(shown);

	struct cashet_why *why;
	must(cashet_why(c, what, &why, &e), "why");
	printf("why: %s, %s\n", cashet_verdict_name(why->verdict),
	       cashet_reason_name(why->reason));
	cashet_why_free(why);

	struct cashet_diff *diff;
	must(cashet_diff(c, what, other, &diff, &e), "diff");
	for (size_t i = 0; i < diff->change_count; i++)
		if (diff->changes[i].how != CASHET_SAME)
			printf("diff: %s %s -> %s\n", diff->changes[i].name,
			       diff->changes[i].before, diff->changes[i].after);
	cashet_diff_free(diff);

	unsigned runs = 0;
	must(cashet_runs(c, what, count_commit, &runs, &e), "history");
	printf("history: %u run\n", runs);
}

static void lineage(struct cashet *c, const char *what)
{
	struct cashet_lineage *l;
	must(cashet_lineage(c, what, 0, &l, &e), "lineage");
	printf("lineage: %zu commits, the first has %" PRIu32 " parts from %zu of them\n",
	       l->node_count, l->nodes[0].inputs[0].parts,
	       l->nodes[0].inputs[0].source_count);
	cashet_lineage_free(l);
}

static void care(struct cashet *c, const char *batch, const char *commit,
		 const char *archive)
{
	struct cashet_care_report report;
	struct cashet_archive_report archived;
	const struct cashet_pair tag = {"experiment", "e1"};
	const struct cashet_filter tagged = {.tags = &tag, .tag_count = 1};
	char sum[CASHET_HEX_SIZE + 2];
	const char *const sums[] = {sum};
	const struct cashet_filter one = {.commits = sums, .commit_count = 1};
	const struct cashet_export everything = {0};
	const struct cashet_care_options dry_run = {.dry_run = true};
	snprintf(sum, sizeof sum, "%s:3", batch);

	must(cashet_pin(c, commit, "winner", &e), "pin");
	must(cashet_pins(c, print_pin, NULL, &e), "pins");
	must(cashet_export(c, archive, &everything, NULL, &archived, &e), "export");
	printf("export: %" PRIu64 " commits\n", archived.commits);
	must(cashet_invalidate(c, &tagged, NULL, &report, &e), "invalidate");
	printf("invalidate: %" PRIu64 " commits\n", report.commits);
	must(cashet_remove(c, &one, NULL, &report, &e), "rm");
	printf("rm: %" PRIu64 " commit\n", report.commits);
	must(cashet_import(c, archive, NULL, NULL, &archived, &e), "import");
	printf("import: %" PRIu64 " new, %" PRIu64 " known\n", archived.commits,
	       archived.known);
	must(cashet_gc(c, &(struct cashet_gc){.all = true}, &dry_run, &report, &e), "gc");
	printf("clear would remove: %" PRIu64 " results\n", report.results);
	must(cashet_gc(c, &(struct cashet_gc){.has_older_than = true}, NULL, &report, &e),
	     "gc");
	printf("gc: %" PRIu64 " results\n", report.results);
	must(cashet_fsck(c, 100, false, NULL, NULL, NULL, &report, &e), "fsck");
	printf("fsck: %" PRIu64 " problems\n", report.problems);
	must(cashet_unpin(c, "winner", &e), "unpin");
}

int main(int argc, char **argv)
{
	struct cashet *c;
	char batch[CASHET_HEX_SIZE], best[CASHET_HEX_SIZE + 16],
		other[CASHET_HEX_SIZE + 16], sum[CASHET_HEX_SIZE + 16];
	if (argc != 3)
		return fprintf(stderr, "usage: look STORE ARCHIVE\n"), 2;
	const struct cashet_options options = {.store = argv[1], .name = "look"};
	must(cashet_open(&c, &options, &e), "open");
	submit(c, batch);

	spread(c, batch);
	uint32_t index = 0;
	const struct cashet_best how = {.top = 1};
	must(cashet_best(c, batch, &how, print_best, &index, NULL, &e), "best");
	snprintf(best, sizeof best, "%s:%" PRIu32, batch, index);
	snprintf(other, sizeof other, "%s:0", batch);
	snprintf(sum, sizeof sum, "%s:3", batch);
	look(c, best, other);
	lineage(c, sum);

	unsigned count = 0;
	const struct cashet_commits_filter completed = {.func = "try", .completed = true};
	must(cashet_commits(c, &completed, count_commit, &count, &e), "log");
	struct cashet_store_stats stats;
	must(cashet_stats(c, &stats, &e), "stats");
	printf("log: %u of try, of %" PRIu64 " in all\n", count, stats.completed);

	care(c, batch, best, argv[2]);
	int code = cashet_show(c, "no-such-pin", &(struct cashet_shown *){NULL}, &e);
	printf("not found: %d, %s\n", code, e.what);
	cashet_close(c);
	return 0;
}
