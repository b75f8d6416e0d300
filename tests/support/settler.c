/* Writes one byte to the FIFO that its argument names, then waits to be ended. */
#include <fcntl.h>
#include <unistd.h>

int main(int count, char **words) {
    int fifo = count > 1 ? open(words[1], O_WRONLY | O_CLOEXEC) : -1;
    if (fifo < 0 || write(fifo, ".", 1) != 1) return 1;
    close(fifo);
    for (;;) pause();
}
