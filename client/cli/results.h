/* results.h - the commands results and best: which parameters and metrics are wanted, and which there
 * are. */
#pragma once

#include "client/aggregate.h"
#include "client/cli/cli.h"
#include "client/cli/intern.h"

struct met { /* names of parameters and metrics that a batch has, each with its NUL */
	struct intern params, metrics;
};

void met_fini(struct met *m);
void met_note(struct met *m, const struct cashet_result *r);
/** names_check() - are @names among @known? Return: 0; CASHET_USAGE, printed with what is near or what
 * there is. @what: "parameter", "metric". */
int names_check(const struct cli *cli, const struct text_list *names,
		const char *const *known, size_t count, const char *what,
		const char *batch);
/** met_check() - the same of what was met: are @names among @known? Return: 0; CASHET_USAGE, printed with what is near or what
 * there is. @what: "parameter", "metric". */
int met_check(const struct cli *cli, const struct text_list *names,
	      const struct intern *known, const char *what, const char *batch);

struct wanted { /* what of the tasks is asked for */
	bool groups;
	struct text_list params, metrics, group_by;
	unsigned kinds[SUMMARY_KINDS], kind_count; /* enum summary_kind, in order */
};

/** results_groups() - a table, CSV or JSON of groups. Return: 0 or an exit code, printed. */
int results_groups(struct cli *cli, struct cashet_results *results,
		   const struct wanted *w);
/** results_tasks() - a table or CSV of tasks. As above. */
int results_tasks(struct cli *cli, struct cashet_results *results, const struct wanted *w,
		  bool csv);
