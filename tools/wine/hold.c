/* hold FILE SHARE: opens a file for reading and writing, as a hypervisor holds
   a disk, says so, and keeps it until its standard input ends. SHARE is the
   share mode: 0 shares nothing, 3 reading and writing. */
#include <stdio.h>
#include <stdlib.h>
#include <windows.h>

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    HANDLE file = CreateFileA(argv[1], GENERIC_READ | GENERIC_WRITE, atoi(argv[2]), NULL, OPEN_EXISTING, 0, NULL);
    if (file == INVALID_HANDLE_VALUE) {
        printf("error %lu\n", GetLastError());
        return 1;
    }
    puts("held");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return 0;
}
