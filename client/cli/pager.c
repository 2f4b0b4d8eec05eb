/* pager.c - long output on a terminal goes through $CASHET_PAGER, $PAGER, or less -FRX (which ends by
 * itself when all fits on the screen). An empty one, or "cat", means none. The pager is a child that
 * reads a pipe; we go on writing to standard output. It ends when we close that, or before, when
 * whoever looks has seen enough. */
#include "client/cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEFAULT_PAGER "less -FRX"

static const char *chosen(void)
{
	const char *names[] = {"CASHET_PAGER", "PAGER"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *value = getenv(names[i]);
		if (value)
			return *value && strcmp(value, "cat") ? value : NULL;
	}
	return DEFAULT_PAGER;
}

void pager_begin(struct cli *cli)
{
	const char *pager = chosen();
	int fds[2];
	if (!pager || !cli->tty_out || cli->settings.json || pipe2(fds, O_CLOEXEC) < 0)
		return;
	pid_t pid = fork();
	if (pid == 0) {
		dup2(fds[0], STDIN_FILENO);
		execl("/bin/sh", "sh", "-c", pager, (char *)NULL);
		_exit(127);
	}
	close(fds[0]);
	if (pid > 0) {
		dup2(fds[1], STDOUT_FILENO);
		signal(SIGPIPE, SIG_IGN);
		cli->pager = pid;
	}
	close(fds[1]);
}

void pager_end(struct cli *cli)
{
	if (!cli->pager)
		return;
	close(STDOUT_FILENO);
	while (waitpid(cli->pager, NULL, 0) < 0 && errno == EINTR)
		;
	cli->pager = 0;
	if (open("/dev/null", O_WRONLY) != STDOUT_FILENO) /* nobody gets 1 by accident */
		return;
}
