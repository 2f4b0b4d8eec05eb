/* main.c - cashet-worker. The spawner is forked before anything else exists. */
#include "common/fs.h"
#include "worker/options.h"
#include "worker/spawner/spawner.h"
#include "worker/worker.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

int main(int argc, char **argv)
{
	fs_standard_open();
	struct options options;
	int rc = options_parse(&options, argc, argv);
	if (rc >= 0) {
		options_fini(&options);
		return rc;
	}
	log_threshold = options.log_level;
	/* Values of secrets and our key pass through our memory and that of the slots: it goes into no
	 * core dump, and tasks, which have our user, may not look at it. */
	prctl(PR_SET_DUMPABLE, 0);
	pid_t spawner_pid = 0;
	int spawner = spawner_start(&spawner_pid);
	if (spawner < 0) {
		fprintf(stderr, "cashet-worker: cannot start the spawner: %s\n",
			strerror(-spawner));
		return ERR_FAILED;
	}
	sigset_t mask;
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	sigprocmask(SIG_BLOCK, &mask, NULL); /* for all threads; the loop reads them */
	signal(SIGPIPE, SIG_IGN);
	rc = worker_run(&options, spawner, spawner_pid);
	options_fini(&options);
	return rc;
}
