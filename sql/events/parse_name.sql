-- Whether a text is a name of one or two parts, each an identifier, quoted or not.
select %(name)s ~ '^("([^"]|"")+"|[[:alpha:]_][[:alnum:]_$]*)(\.("([^"]|"")+"|[[:alpha:]_][[:alnum:]_$]*))?$'
