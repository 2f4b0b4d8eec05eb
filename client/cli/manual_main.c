/* manual_main.c - cashet-manual FOLDER FILE...: writes the manual pages and the completion scripts that
 * are installed. The build lists the files; a command without a page there is an error, so that
 * nothing is forgotten. */
#include "client/cli/completion.h"
#include "client/cli/manual.h"

#include <stdio.h>
#include <string.h>

struct file {
	char name[80];
	struct buf text;
};

static size_t make_all(struct file *files)
{
	size_t count = 0;
	char page[64];
	manual_program(&files[count++].text);
	snprintf(files[0].name, sizeof files[0].name, "cashet.1");
	for (size_t i = 0; i < command_count; i++) {
		struct file *f = &files[count];
		if (command_table[i].hidden)
			continue;
		manual_command(&f->text, &command_table[i]);
		snprintf(f->name, sizeof f->name, "%s.1",
			 manual_page_name(command_table[i].name, page));
		count++;
	}
	for (size_t i = 0; i < ARRAY_LEN(completion_daemons); i++) {
		struct file *f = &files[count++];
		manual_daemon(&f->text, completion_daemons[i]);
		snprintf(f->name, sizeof f->name, "%s.1", completion_daemons[i]->name);
	}
	completion_bash(&files[count].text);
	snprintf(files[count++].name, sizeof files[0].name, "cashet.bash");
	completion_zsh(&files[count].text);
	snprintf(files[count++].name, sizeof files[0].name, "_cashet");
	completion_fish(&files[count].text);
	snprintf(files[count++].name, sizeof files[0].name, "cashet.fish");
	return count;
}

static int write_file(const char *folder, const struct file *f)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", folder, f->name);
	FILE *out = fopen(path, "we");
	if (!out || fwrite(f->text.data, 1, f->text.size, out) != f->text.size) {
		perror(path);
		if (out)
			fclose(out);
		return 1;
	}
	if (fclose(out)) {
		perror(path);
		return 1;
	}
	return 0;
}

static bool is_named(const char *name, int count, char *const *names)
{
	for (int i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

int main(int argc, char **argv)
{
	static struct file files[COMMANDS_MAX + 8];
	if (argc < 2)
		return fprintf(stderr, "usage: cashet-manual FOLDER FILE...\n"), 2;
	size_t count = make_all(files), wanted = (size_t)argc - 2;
	int failed = 0;
	for (size_t i = 0; i < count; i++) {
		if (is_named(files[i].name, argc - 2, argv + 2)) {
			failed |= write_file(argv[1], &files[i]);
		} else {
			fprintf(stderr, "docs/meson.build does not name %s\n",
				files[i].name);
			failed = 1;
		}
		buf_fini(&files[i].text);
	}
	if (wanted > count) {
		fprintf(stderr,
			"docs/meson.build names %zu files of commands that are "
			"not in client/cli/command_table.c\n",
			wanted - count);
		failed = 1;
	}
	return failed;
}
