case $code in
    0) say "every selected frame is completed" ;;
    3) say "done, but some frames failed or did not converge" ;;
    1 | 2) say "an error, which would come again: see above" ;;
    75) say "stopped in good order before the end" ;;
    *) say "exit code $code: a rank or a node was lost, or the launcher could not start them; see above" ;;
esac
