/* options.c - the command line: what is understood, and what is said of the rest. */
#include "client/cli/cli.h"

#include <criterion/criterion.h>
#include <string.h>

struct parsed {
	struct settings s;
	const char *items[16];
	struct words words;
	struct err e;
	int used;
};

static void parse(struct parsed *p, unsigned sets, bool stop, const char *const *argv)
{
	int argc = 0;
	while (argv[argc])
		argc++;
	*p = (struct parsed){.words = {.items = p->items}};
	p->words.items = p->items;
	p->used = options_parse(&p->s, OPTIONS_GLOBAL | sets, argc, (char *const *)argv,
				stop, &p->words, &p->e);
}

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

Test(options, long_and_short_forms_mean_the_same)
{
	struct parsed p;
	parse(&p, OPTIONS_BEST | OPTIONS_ALL, false,
	      ARGV("--broker=tcp://h:1", "b7f3", "-k3", "--by", "loss", "-qa", "--max"));
	cr_assert_eq(p.used, 7);
	cr_assert_str_eq(p.s.broker, "tcp://h:1");
	cr_assert_eq(p.s.top, 3);
	cr_assert_str_eq(p.s.by, "loss");
	cr_assert(p.s.quiet && p.s.all && p.s.max && !p.s.min);
	cr_assert_eq(p.words.count, 1);
	cr_assert_str_eq(p.words.items[0], "b7f3");
	parse(&p, OPTIONS_BEST, false, ARGV("-k", "12"));
	cr_assert_eq(p.s.top, 12);
}

Test(options, two_dashes_end_them_and_one_is_a_word)
{
	struct parsed p;
	parse(&p, 0, false, ARGV("-q", "-", "--", "--json", "-x"));
	cr_assert_eq(p.used, 5);
	cr_assert(p.s.quiet && !p.s.json);
	cr_assert_eq(p.words.count, 3);
	cr_assert_str_eq(p.words.items[0], "-");
	cr_assert_str_eq(p.words.items[1], "--json");
	cr_assert_str_eq(p.words.items[2], "-x");
}

Test(options, a_list_keeps_all_in_order)
{
	struct parsed p;
	parse(&p, OPTIONS_SUBMIT, false, ARGV("--tag", "a=1", "-tb=2", "--tag=c=3"));
	cr_assert_eq(p.s.tags.count, 3);
	cr_assert_str_eq(p.s.tags.items[1], "b=2");
	cr_assert_str_eq(p.s.tags.items[2], "c=3");
	settings_fini(&p.s);
}

Test(options, parsing_stops_in_front_of_the_command)
{
	struct parsed p;
	parse(&p, 0, true, ARGV("--json", "best", "-k", "3"));
	cr_assert_eq(p.used, 1);
	cr_assert(p.s.json);
}

Test(options, durations_and_numbers_are_checked)
{
	struct parsed p;
	parse(&p, OPTIONS_TIMEOUT, false, ARGV("--timeout", "1h30m"));
	cr_assert_eq(p.s.timeout_ns, 5400 * NS_PER_S);
	parse(&p, OPTIONS_TIMEOUT, false, ARGV("--timeout", "0"));
	cr_assert_eq(p.s.timeout_ns, NS_PER_MS, "it was given, and is over at once");
	parse(&p, OPTIONS_CALL, false, ARGV("--timeout", "0"));
	cr_assert_eq(p.s.task_timeout_ns, 0, "of a task: none");
	parse(&p, OPTIONS_TIMEOUT, false, ARGV("--timeout", "soon"));
	cr_assert_eq(p.used, -1);
	cr_assert_not_null(strstr(p.e.what, "soon"));
	parse(&p, OPTIONS_BEST, false, ARGV("-k", "0"));
	cr_assert_eq(p.used, -1);
	parse(&p, OPTIONS_BEST, false, ARGV("-k", "-1"));
	cr_assert_eq(p.used, -1);
	parse(&p, OPTIONS_BEST, false, ARGV("-k", "99999999999999999999999"));
	cr_assert_eq(p.used, -1);
}

Test(options, what_is_unknown_is_named_with_its_likely_meaning)
{
	struct parsed p;
	parse(&p, 0, false, ARGV("--jsno"));
	cr_assert_eq(p.used, -1);
	cr_assert_eq(p.e.code, ERR_USAGE);
	cr_assert_not_null(strstr(p.e.what, "did you mean --json?"));
	parse(&p, 0, false, ARGV("--force"));
	cr_assert_eq(p.used, -1, "an option of another command");
	parse(&p, 0, false, ARGV("-x"));
	cr_assert_eq(p.used, -1);
	parse(&p, 0, false, ARGV("--broker"));
	cr_assert_eq(p.used, -1);
	cr_assert_not_null(strstr(p.e.what, "needs a value"));
	parse(&p, 0, false, ARGV("--quiet=yes"));
	cr_assert_eq(p.used, -1);
	cr_assert_not_null(strstr(p.e.what, "takes no value"));
}

/* The table is the only place where options are told apart. */
Test(options, no_two_of_one_command_share_a_name_or_letter)
{
	for (size_t c = 0; c < command_count; c++) {
		unsigned sets = OPTIONS_GLOBAL | command_table[c].options;
		for (size_t i = 0; i < option_count; i++)
			for (size_t k = i + 1; k < option_count; k++) {
				const struct option_row *a = &option_table[i],
							*b = &option_table[k];
				if (!(a->set & sets) || !(b->set & sets))
					continue;
				cr_assert_str_neq(a->name, b->name, "%s",
						  command_table[c].name);
				cr_assert(!a->letter || a->letter != b->letter, "%s %s",
					  a->name, b->name);
				cr_assert_neq(a->offset, b->offset);
			}
	}
}
