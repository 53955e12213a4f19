/* scan FOLDER: opens every file below a folder for 40 ms, over and over until
   its standard input ends, as virus scanners and indexers do with new files:
   others may read and write the file meanwhile, but not rename or delete it. */
#include <stdio.h>
#include <string.h>
#include <windows.h>

static void scan(const char *folder)
{
    char path[MAX_PATH];
    WIN32_FIND_DATAA found;
    snprintf(path, sizeof path, "%s\\*", folder);
    HANDLE list = FindFirstFileA(path, &found);
    if (list == INVALID_HANDLE_VALUE)
        return;
    do {
        if (!strcmp(found.cFileName, ".") || !strcmp(found.cFileName, ".."))
            continue;
        snprintf(path, sizeof path, "%s\\%s", folder, found.cFileName);
        if (found.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) {
            scan(path);
            continue;
        }
        HANDLE file = CreateFileA(path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING, 0, NULL);
        if (file != INVALID_HANDLE_VALUE) {
            Sleep(40);
            CloseHandle(file);
        }
    } while (FindNextFileA(list, &found));
    FindClose(list);
}

static DWORD WINAPI await(LPVOID unused)
{
    while (getchar() != EOF)
        ;
    ExitProcess(0);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    CreateThread(NULL, 0, await, NULL, 0, NULL);
    puts("scanning");
    fflush(stdout);
    for (;;) {
        scan(argv[1]);
        Sleep(5);
    }
}
