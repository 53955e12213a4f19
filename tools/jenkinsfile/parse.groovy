// Prints each file of the command line as a tree of its statements, one line of JSON a
// file. The parser is Groovy's own, at the phase at which Jenkins reads a Jenkinsfile;
// what the tree has to look like is judged by check.go.
import groovy.json.JsonOutput
import org.codehaus.groovy.ast.expr.*
import org.codehaus.groovy.ast.stmt.*
import org.codehaus.groovy.control.*

def argument(Expression e) {
  switch (e) {
    case ConstantExpression: return [kind: 'constant', text: String.valueOf(e.value), literal: e.value instanceof String ? 'text' : 'value']
    case GStringExpression: return [kind: 'text', text: e.text]
    case VariableExpression: return [kind: 'name', text: e.name]
    case MethodCallExpression: return [kind: 'call', text: e.methodAsString, args: arguments(e)]
    default: return [kind: 'expression', text: e.text]
  }
}

def arguments(MethodCallExpression call) {
  def all = []
  for (Expression e : ((TupleExpression) call.arguments).expressions) {
    if (e instanceof MapExpression) { // NamedArgumentListExpression is one
      e.mapEntryExpressions.each { all << argument(it.valueExpression) + [key: it.keyExpression.text] }
    } else if (!(e instanceof ClosureExpression)) {
      all << argument(e)
    }
  }
  all
}

def statement(Statement s) {
  def one = [line: s.lineNumber]
  def e = s instanceof ExpressionStatement || s instanceof ReturnStatement ? s.expression : null
  if (e instanceof MethodCallExpression && e.implicitThis && e.methodAsString) {
    one.name = e.methodAsString
    one.args = arguments(e)
    def last = ((TupleExpression) e.arguments).expressions.reverse().find { true }
    if (last instanceof ClosureExpression) one.block = statements(last.code)
  } else if (e instanceof BinaryExpression && e.operation.text == '=') {
    one.sets = e.leftExpression.text
    one.args = [argument(e.rightExpression)]
  } else {
    one.other = s instanceof ExpressionStatement ? s.expression.text : s.class.simpleName
  }
  one
}

def statements(Statement s) {
  s instanceof BlockStatement ? s.statements.collect { statement(it) } : [statement(s)]
}

args.each { path ->
  def out = [:]
  try {
    def unit = new CompilationUnit()
    def source = unit.addSource(new File(path))
    unit.compile(Phases.CONVERSION)
    out.statements = source.AST.statementBlock.statements.collect { statement(it) }
  } catch (MultipleCompilationErrorsException broken) {
    def first = broken.errorCollector.getSyntaxError(0)
    out.broken = first ? "line ${first.line}: ${first.originalMessage}".toString() : broken.message
  }
  println JsonOutput.toJson(out)
}
