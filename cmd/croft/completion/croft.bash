# Completion of croft for bash: source <(croft completion bash)
_croft() {
    local line current=${COMP_WORDS[COMP_CWORD]} offset
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
            :files)
                compopt -o filenames 2>/dev/null
                while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "${current#=}")
                ;;
            :command\ *)
                offset=${line#:command }
                if declare -F _command_offset >/dev/null; then
                    _command_offset "$offset"
                elif [[ $COMP_CWORD -eq $offset ]]; then
                    while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -c -- "$current")
                else
                    compopt -o filenames 2>/dev/null
                    while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$current")
                fi
                ;;
            *) COMPREPLY+=("${line%%$'\t'*}") ;;
        esac
    done < <("${COMP_WORDS[0]}" __complete bash "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _croft croft
