/* cmd_log.c - log: the history by what people ask for. */
#include "client/cli/cli.h"

#include "common/clock.h"
#include "common/num.h"
#include "common/pure/mem.h"

#include <stdlib.h>
#include <string.h>

/* "key=value" or "key" to its parts; all of it is *@memoryp. */
static struct cashet_pair *split_tags(const struct text_list *tags, void **memoryp)
{
	size_t size = (tags->count + 1) * sizeof(struct cashet_pair);
	for (size_t i = 0; i < tags->count; i++)
		size += strlen(tags->items[i]) + 1;
	struct cashet_pair *pairs = *memoryp = mem_alloc(size);
	char *to = (char *)(pairs + tags->count + 1);
	for (size_t i = 0; i < tags->count; i++) {
		strcpy(to, tags->items[i]);
		char *equals = strchr(to, '=');
		pairs[i] = (struct cashet_pair){.key = to,
						.value = equals ? equals + 1 : NULL};
		if (equals)
			*equals = '\0';
		to += strlen(tags->items[i]) + 1;
	}
	return pairs;
}

static int ask(struct cli *cli, void *ctx, cashet_commit_row row, void *arg,
	       struct cashet_error *e)
{
	return cashet_commits(cli->c, ctx, row, arg, e);
}

int cli_filter(struct cli *cli, struct cashet_commits_filter *filter, void **memoryp)
{
	const struct settings *s = &cli->settings;
	bool completed = s->status && strcmp(s->status, "completed") == 0;
	bool failed = s->status && strcmp(s->status, "failed") == 0;
	if (s->status && !completed && !failed)
		return cli_usage(cli, "", "--status is completed or failed, not \"%s\"",
				 s->status);
	for (size_t i = 0; i < s->tags.count; i++)
		if (!*s->tags.items[i] || *s->tags.items[i] == '=')
			return cli_usage(cli, "",
					 "--tag takes KEY or KEY=VALUE, not \"%s\"",
					 s->tags.items[i]);
	if (s->func && !*s->func)
		return cli_usage(cli, "", "--func takes the name of a task, not \"\"");
	uint64_t now = clock_wall_ms(), since = 0;
	if (s->since && num_parse_duration(s->since, &since))
		return cli_usage(cli, "",
				 "--since takes a duration such as 2h or 2d, not \"%s\"",
				 s->since);
	since /= NS_PER_MS;
	*filter = (struct cashet_commits_filter){
		.func = s->func,
		.tags = split_tags(&s->tags, memoryp),
		.tag_count = s->tags.count,
		.batch = s->batch,
		.completed = completed,
		.failed = failed,
		.since_wall_ms = s->since && since < now ? now - since : 0,
		.max = s->number,
	};
	return 0;
}

int cmd_log(struct cli *cli)
{
	CLEANUP_FREE void *memory = NULL;
	struct cashet_commits_filter filter;
	int code = cli_filter(cli, &filter, &memory);
	if (code)
		return code;
	cli_catch();
	code = cli_open(cli, true, true);
	return code ? code : show_commits(cli, ask, &filter);
}
