/* completion.c - completion: the scripts, and what they share; see completion.h. */
#include "client/cli/completion.h"

#include <stdio.h>
#include <string.h>

const struct daemon *const completion_daemons[2] = {&daemon_broker, &daemon_worker};

unsigned completion_words(const struct command *command)
{
	const char *at = command->complete;
	unsigned count = at ? 1 : 0;
	if (at && *at == '=')
		return 1;
	for (; at && *at; at++)
		count += *at == ' ';
	return count;
}

const char *completion_word(const struct command *command, unsigned n, char out[64])
{
	const char *at = command->complete;
	if (!at || *at == '=')
		return n ? NULL : at;
	unsigned count = completion_words(command);
	if (n >= command->most)
		return NULL;
	for (unsigned i = 0; i < n && i + 1 < count; i++)
		at = strchr(at, ' ') + 1;
	snprintf(out, 64, "%.*s", (int)strcspn(at, " "), at);
	return out;
}

bool completion_is_first(size_t i)
{
	const char *name = command_table[i].name;
	size_t end = strcspn(name, " ");
	for (size_t k = 0; k < i; k++)
		if (strncmp(command_table[k].name, name, end) == 0 &&
		    strcspn(command_table[k].name, " ") == end)
			return false;
	return true;
}

void completion_summary(const struct command *command, char *out, size_t size)
{
	size_t end = strcspn(command->name, " "), used = 0;
	snprintf(out, size, "%s", command->summary);
	for (size_t i = 0; command->name[end] && i < command_count; i++) {
		const char *name = command_table[i].name;
		if (strncmp(name, command->name, end + 1) == 0 && used < size)
			used += (size_t)snprintf(out + used, size - used, "%s%s",
						 used ? ", " : "", name + end + 1);
	}
}

void completion_valued(struct buf *out)
{
	CLEANUP_BUF struct buf seen = {0};
	buf_add_str(&seen, " ");
	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *row = &option_table[i];
		char word[64];
		snprintf(word, sizeof word, " --%s ", row->name);
		if (!row->value || strstr(buf_cstr(&seen), word))
			continue;
		buf_printf(&seen, "--%s ", row->name);
		if (row->letter)
			buf_printf(&seen, "-%c ", row->letter);
	}
	for (size_t d = 0; d < ARRAY_LEN(completion_daemons); d++)
		for (size_t i = 0; i < completion_daemons[d]->flag_count; i++) {
			const struct flag *f = &completion_daemons[d]->flags[i];
			char word[64];
			snprintf(word, sizeof word, " --%s ", f->name);
			if (f->value && !strstr(buf_cstr(&seen), word))
				buf_printf(&seen, "--%s ", f->name);
		}
	buf_add(out, seen.data + 1, seen.size - 2); /* without the spaces around */
}

int cmd_completion(struct cli *cli)
{
	const char *shell = cli->words.items[0];
	CLEANUP_BUF struct buf out = {0};
	if (strcmp(shell, "bash") == 0)
		completion_bash(&out);
	else if (strcmp(shell, "zsh") == 0)
		completion_zsh(&out);
	else if (strcmp(shell, "fish") == 0)
		completion_fish(&out);
	else
		return cli_usage(cli, "there is bash, zsh and fish",
				 "there is no completion for \"%s\"", shell);
	return cli_write(cli, &out);
}
